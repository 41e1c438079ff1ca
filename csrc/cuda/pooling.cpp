// Launches of the pooling kernels, by planes when a tensor is too large for 32-bit indices.
#include "pooling.h"

#include <algorithm>

#include "launch.h"
#include "windows.h"

namespace flambeau::cuda {

namespace {

struct Pool { // as in kernels/pooling.cuh
  Pointer from, to, indices;
  int64_t divisor;
  uint32_t count;
  int count_pad;
};

// From x to y, or `back` from dy to dx; indices lie like y.
void pool(const char* entry, const PoolShape& s, bool adaptive, bool back, const Tensor& from,
          const Tensor& to, const Tensor& indices, Pool g) {
  Windows w("pooling", s.in, s.kernel, s.out, s.stride, s.pad, s.dil);
  const int device = to.device().index;
  const int64_t to_plane = back ? w.in_size : w.out_size,
                from_plane = back ? w.out_size : w.in_size;
  FB_CHECK(std::max(to_plane, from_plane) <= INT32_MAX, "pooling: a plane of ",
           std::max(to_plane, from_plane), " elements is too large for a GPU");
  Kernel& k = kernel(device, "pooling", entry,
                     define_type("FB_T", to.dtype()) + define("FB_ADAPTIVE", int64_t(adaptive)));
  const int64_t most = std::max<int64_t>((int64_t(1) << 30) / to_plane, 1);
  for (int64_t first = 0; first < s.planes; first += most) {
    const int64_t count = std::min(most, s.planes - first) * to_plane;
    g.from = address(from) + Pointer(first * from_plane * from.itemsize());
    g.to = address(to) + Pointer(first * to_plane * to.itemsize());
    if (indices.defined())
      g.indices = address(indices) + Pointer(first * w.out_size * indices.itemsize());
    g.count = uint32_t(count);
    launch(k, device, {ceil_div(count, int64_t(256))}, {256}, 0, w, g);
  }
}

} // namespace

void max_pool(const PoolShape& s, bool adaptive, const Tensor& x, const Tensor& y,
              const Tensor& indices) {
  pool("max_pool", s, adaptive, false, x, y, indices, {});
}
void max_pool_backward(const PoolShape& s, bool adaptive, const Tensor& dy, const Tensor& indices,
                       const Tensor& dx) {
  pool("max_pool_backward", s, adaptive, true, dy, dx, indices, {});
}
void avg_pool(const PoolShape& s, bool adaptive, bool count_pad, int64_t divisor, bool backward,
              const Tensor& from, const Tensor& to) {
  Pool g{};
  g.divisor = divisor;
  g.count_pad = count_pad;
  pool(backward ? "avg_pool_backward" : "avg_pool", s, adaptive, backward, from, to, {}, g);
}

} // namespace flambeau::cuda
