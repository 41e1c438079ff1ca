// Norms and scaling of lists of tensors, for clipping and unscaling gradients.
#include <cmath>

#include "../autograd/node.h"
#include "../core/elementwise.h"
#include "../core/registry.h"
#include "../cpu/parallel.h"
#include "../cuda/lists.h"
#include "ops.h"

namespace flambeau {
namespace {

// Whether one pass can take them: dense, real, of one dtype, on one device.
bool alike(const Tensors& list) {
  if (list.empty() || list[0].is_meta() || !is_float(list[0].dtype())) return false;
  if (!list[0].is_cuda() && list[0].itemsize() < 4) return false;
  for (const Tensor& t : list) {
    if (t.device() != list[0].device() || t.dtype() != list[0].dtype()) return false;
    if (!t.is_contiguous() && !is_dense(t.shape(), t.strides())) return false;
  }
  return true;
}

constexpr int64_t kChunk = 1 << 14; // elements

// Calls run(chunk, address of its first element, length) for all chunks of the host's tensors.
template<class T, class F>
void each_chunk(const Tensors& list, F run) {
  struct Chunk {
    T* at;
    int64_t n;
  };
  std::vector<Chunk> chunks;
  for (const Tensor& t : list)
    for (int64_t b = 0; b < t.numel(); b += kChunk)
      chunks.push_back({t.data<T>() + b, std::min(kChunk, t.numel() - b)});
  run.prepare(chunks.size());
  parallel_for(int64_t(chunks.size()), 8, [&](int64_t b, int64_t e) {
    for (int64_t c = b; c < e; ++c) run(size_t(c), chunks[size_t(c)].at, chunks[size_t(c)].n);
  });
}

template<class T>
struct SquareSums { // a partial sum for each chunk, so that threads change no rounding
  std::vector<double>& sums;
  void prepare(size_t n) { sums.resize(n); }
  void operator()(size_t chunk, const T* x, int64_t n) {
    constexpr int kLanes = 16;
    T lanes[kLanes] = {};
    int64_t whole = n - n % kLanes;
    for (int64_t i = 0; i < whole; i += kLanes)
      for (int j = 0; j < kLanes; ++j) lanes[j] += x[i + j] * x[i + j];
    double s = 0;
    for (T v : lanes) s += double(v);
    for (int64_t i = whole; i < n; ++i) s += double(x[i]) * double(x[i]);
    sums[chunk] = s;
  }
};

template<class T>
struct Scale {
  T factor;
  void prepare(size_t) {}
  void operator()(size_t, T* x, int64_t n) {
    for (int64_t i = 0; i < n; ++i) x[i] *= factor;
  }
};

Value list_norm(Args& a) {
  const Tensors& list = a.tensors(0);
  if (!alike(list)) return Tensor();
  NoGrad off;
  if (list[0].is_cuda()) return cuda::list_norm(list);
  std::vector<double> sums;
  if (list[0].dtype() == DType::F32)
    each_chunk<float>(list, SquareSums<float>{sums});
  else
    each_chunk<double>(list, SquareSums<double>{sums});
  double total = 0;
  for (double s : sums) total += s;
  return full({}, std::sqrt(total), list[0].dtype());
}

Value list_scale(Args& a) {
  const Tensors& list = a.tensors(0);
  Tensor factor = a.tensor(1), bad = a.tensor(2);
  if (!alike(list) || factor.device() != list[0].device() || factor.numel() != 1)
    return Scalar(false);
  if (!list[0].is_cuda()) {
    if (bad.defined()) return Scalar(false);
    double f = item(factor).f;
    if (list[0].dtype() == DType::F32)
      each_chunk<float>(list, Scale<float>{float(f)});
    else
      each_chunk<double>(list, Scale<double>{f});
    for (const Tensor& t : list) t.bump_version();
    return Scalar(true);
  }
  if (bad.defined() && (bad.device() != factor.device() || bad.dtype() != DType::F32))
    return Scalar(false);
  NoGrad off;
  cuda::list_scale(list, to_dtype(factor, compute_type(list[0].dtype())), bad);
  for (const Tensor& t : list) t.bump_version();
  return Scalar(true);
}

// Each does nothing for tensors it cannot take, and says so by None or False.
Register rows({
    {"_list_norm(Tensor[] tensors) -> Tensor", kFunction, list_norm,
     "The 2-norm of all tensors as one vector."},
    {"_list_scale_(Tensor[] tensors, Tensor factor, Tensor? bad=None) -> Scalar", kFunction,
     list_scale, "Multiplies all in place; bad becomes 1 if one held an infinity or NaN."},
});

} // namespace
} // namespace flambeau
