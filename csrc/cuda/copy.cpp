// Copies between devices: plain bytes where layouts allow, else by way of a dense tensor.
#include <cstring>

#include "../cpu/loops.h"
#include "../ops/ops.h"
#include "elementwise.h"
#include "fault.h"
#include "launch.h"
#include "pool.h"

namespace flambeau::cuda {

namespace {

DType bits_type(int size) {
  return size == 1   ? DType::U8
         : size == 2 ? DType::U16
         : size == 4 ? DType::U32
         : size == 8 ? DType::U64
                     : DType::C128;
}

Tensor dense_like(const Tensor& t, DType dtype, Device device) {
  return empty(t.shape(), dtype, device);
}

bool same_bytes(const Tensor& a, const Tensor& b) {
  return a.dtype() == b.dtype() && a.shape() == b.shape() && a.strides() == b.strides() &&
         is_dense(a.shape(), a.strides());
}
size_t bytes_of(const Tensor& t) { return size_t(t.numel()) * size_t(t.itemsize()); }

// Whether the copy was one of planes with different fast dimensions, and then has been made.
bool copy_transposed(const Tensor& dst, const Tensor& src, DType bits) {
  StridedLoop l;
  l.add(reinterpret_cast<char*>(address(dst)), expanded_bytes(dst, dst.shape()));
  l.add(reinterpret_cast<char*>(address(src)), expanded_bytes(src, dst.shape()));
  l.prepare(dst.shape());
  int n = l.shape.size(), y = 0, size = size_of(bits);
  if (n < 2 || n > 3 || l.strides[0][0] != size || l.strides[1][0] == size) return false;
  for (int d = 1; d < n; ++d)
    if (l.strides[1][d] == size) y = d;
  int z = n == 3 ? 3 - y : 0;
  constexpr int64_t kTile = 32, kFewest = 8;
  if (!y || l.shape[0] < kFewest || l.shape[y] < kFewest || (z && l.shape[z] > 65535)) return false;
  int device = dst.device().index;
  std::string type = size == 16 ? define("B", "ulonglong2") : define_type("B", bits);
  Kernel& k = kernel(device, "transpose", "transpose", type);
  int64_t tiles = ceil_div(l.shape[0], kTile) * ceil_div(l.shape[y], kTile);
  launch(k, device, {tiles, z ? l.shape[z] : 1}, {kTile, 8}, 0, address(dst), address(src),
         l.shape[0], l.shape[y], l.strides[0][y] / size, l.strides[1][0] / size,
         z ? l.strides[0][z] / size : 0, z ? l.strides[1][z] / size : 0);
  return true;
}

void copy_same_gpu(const Tensor& dst, const Tensor& src) {
  int device = dst.device().index;
  if (same_bytes(dst, src)) {
    gpu(device);
    FB_CU(MemcpyDtoDAsync, address(dst), address(src), bytes_of(dst), current_stream(device));
    return;
  }
  static const Formula kCopy{"copy", "x"};
  if (dst.dtype() != src.dtype()) return run_formula(kCopy, src.dtype(), src.dtype(), dst, &src, 1);
  // Only bits move, so that NaNs keep theirs.
  DType bits = bits_type(dst.itemsize());
  Tensor to = alias_bytes(dst, bits, dst.shape(), dst.strides(), dst.offset()),
         from = alias_bytes(src, bits, src.shape(), src.strides(), src.offset());
  if (copy_transposed(to, from, bits)) return;
  run_formula(kCopy, bits, bits, to, &from, 1);
}

void copy_between_gpus(const Tensor& dst, const Tensor& src) {
  Tensor from = src, to = dst;
  if (!same_bytes(dst, src)) { // convert at the source, spread at the target
    from = dense_like(src, dst.dtype(), src.device());
    copy_same_gpu(from, src);
    to = dense_like(src, dst.dtype(), dst.device());
  }
  int a = src.device().index, b = dst.device().index;
  Gpu &ga = gpu(a), &gb = gpu(b);
  // The source's stream is done with the values before the target's stream copies them, and the
  // source is not reused before the copy is over.
  Handle ready = nullptr, done = nullptr;
  constexpr unsigned kNoTiming = 2;
  gpu(a);
  FB_CU(EventCreate, &ready, kNoTiming);
  FB_CU(EventRecord, ready, current_stream(a));
  gpu(b);
  FB_CU(StreamWaitEvent, current_stream(b), ready, 0);
  FB_CU(MemcpyPeerAsync, address(to), gb.context, address(from), ga.context, bytes_of(from),
        current_stream(b));
  FB_CU(EventCreate, &done, kNoTiming);
  FB_CU(EventRecord, done, current_stream(b));
  gpu(a);
  FB_CU(StreamWaitEvent, current_stream(a), done, 0);
  FB_CU(EventDestroy, ready);
  FB_CU(EventDestroy, done);
  if (!to.is(dst)) copy_same_gpu(dst, to);
}

void refuse_capture(int device, const char* what) {
  FB_CHECK(!is_capturing(device), what,
           " while a CUDA graph is being captured: a graph cannot "
           "contain it. Make the tensor before the capture and copy_ into it from pinned memory");
}

void host_to_gpu(const Tensor& dst, const Tensor& src, bool non_blocking) {
  int device = dst.device().index;
  Tensor from = src, to = dst;
  if (!same_bytes(dst, src)) {
    if (src.dtype() != dst.dtype() || !src.is_contiguous()) {
      from = dense_like(src, dst.dtype(), {});
      copy_values(from, src);
    }
    if (!same_bytes(dst, from)) to = dense_like(from, dst.dtype(), dst.device());
  }
  bool pinned = is_pinned(from.bytes());
  if (!pinned) refuse_capture(device, "copying pageable memory to the GPU");
  gpu(device);
  Handle stream = current_stream(device);
  FB_CU(MemcpyHtoDAsync, address(to), from.bytes(), bytes_of(from), stream);
  if (pinned && non_blocking) {
    record_pinned_use(from.bytes(), device, stream);
  } else if (pinned && !is_capturing(device)) {
    Waiting wait;
    FB_CU(StreamSynchronize, stream);
  }
  if (!to.is(dst)) copy_same_gpu(dst, to);
}

void gpu_to_host(const Tensor& dst, const Tensor& src, bool non_blocking) {
  int device = src.device().index;
  Tensor from = src, to = dst;
  if (!same_bytes(dst, src)) {
    if (src.dtype() != dst.dtype() || !is_dense(src.shape(), src.strides())) {
      from = dense_like(src, dst.dtype(), src.device());
      copy_same_gpu(from, src);
    }
    if (!same_bytes(dst, from)) to = empty_strided(from.shape(), from.strides(), dst.dtype());
  }
  bool later = non_blocking && to.is(dst) && is_pinned(to.bytes());
  if (!later) refuse_capture(device, "reading values from the GPU");
  gpu(device);
  Handle stream = current_stream(device);
  FB_CU(MemcpyDtoHAsync, to.bytes(), address(from), bytes_of(from), stream);
  if (later) return record_pinned_use(to.bytes(), device, stream);
  {
    Waiting wait;
    FB_CU(StreamSynchronize, stream);
  }
  raise_faults(device);
  if (!to.is(dst)) copy_values(dst, to);
}

} // namespace

void copy(const Tensor& dst, const Tensor& src, bool non_blocking) {
  if (dst.numel() == 0) return;
  bool to_host = dst.device().is_cpu(), from_host = src.device().is_cpu();
  if (!to_host && !from_host) {
    return dst.device() == src.device() ? copy_same_gpu(dst, src) : copy_between_gpus(dst, src);
  }
  if (from_host && src.numel() == 1 && dst.numel() >= 1) { // a number travels in the launch
    static const Formula kFill{"fill", "x"};
    return run_formula(kFill, dst.dtype(), dst.dtype(), dst, &src, 1);
  }
  if (src.shape() != dst.shape()) { // broadcast at the target
    Tensor whole = dense_like(src, dst.dtype(), dst.device());
    copy(whole, src, non_blocking);
    return copy_values(dst, whole);
  }
  from_host ? host_to_gpu(dst, src, non_blocking) : gpu_to_host(dst, src, non_blocking);
}

void copy_to_host(void* dst, int device, Pointer src, size_t n) {
  if (!n) return;
  gpu(device);
  refuse_capture(device, "reading values from the GPU");
  Handle stream = current_stream(device);
  FB_CU(MemcpyDtoHAsync, dst, src, n, stream);
  {
    Waiting wait;
    FB_CU(StreamSynchronize, stream);
  }
  raise_faults(device);
}
void copy_from_host(int device, Pointer dst, const void* src, size_t n) {
  if (!n) return;
  gpu(device);
  refuse_capture(device, "copying pageable memory to the GPU");
  FB_CU(MemcpyHtoDAsync, dst, src, n, current_stream(device));
}

void fill(const Tensor& t, const void* element) {
  if (t.numel() == 0) return;
  int size = t.itemsize(), device = t.device().index;
  const char* e = static_cast<const char*>(element);
  bool uniform = true;
  for (int i = 1; i < size; ++i) uniform = uniform && e[i] == e[0];
  if (uniform && is_dense(t.shape(), t.strides())) {
    gpu(device);
    FB_CU(MemsetD8Async, address(t), static_cast<unsigned char>(e[0]), bytes_of(t),
          current_stream(device));
    return;
  }
  DType bits = bits_type(size);
  Tensor value = empty({}, bits);
  std::memcpy(value.bytes(), e, size_t(size));
  static const Formula kFill{"fill", "x"};
  run_formula(kFill, bits, bits, alias_bytes(t, bits, t.shape(), t.strides(), t.offset()), &value,
              1);
}

} // namespace flambeau::cuda
