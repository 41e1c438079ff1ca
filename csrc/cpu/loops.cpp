// The strided driver behind every elementwise op and copy.
#include "loops.h"

#include <algorithm>
#include <cstring>

#include "stream.h"
#include "transpose.h"

namespace flambeau {

void StridedLoop::add(char* data, const Dims& byte_strides) {
  base[ops] = data;
  strides[ops++] = byte_strides;
}

// Sorts dimensions by the first operand's strides (then the next's) and merges neighbours.
void StridedLoop::prepare(const Dims& logical) {
  int n = logical.size();
  Dims order(n, 0);
  for (int i = 0; i < n; ++i) order[i] = n - 1 - i;
  auto before = [&](int64_t a, int64_t b) { // whether a belongs inside b
    for (int i = 0; i < ops; ++i) {
      int64_t x = std::abs(strides[i][int(a)]), y = std::abs(strides[i][int(b)]);
      if (x && y && x != y) return x < y;
    }
    return false;
  };
  for (int i = 1; i < n; ++i)
    for (int j = i; j > 0 && before(order[j], order[j - 1]); --j) std::swap(order[j], order[j - 1]);
  Dims merged, st[kMaxOperands];
  numel = 1;
  for (int64_t d : order) {
    int64_t size = logical[int(d)];
    numel *= size;
    if (size == 1) continue;
    bool fits = !merged.empty();
    for (int i = 0; i < ops && fits; ++i) fits = strides[i][int(d)] == st[i].back() * merged.back();
    if (fits) {
      merged.back() *= size;
      continue;
    }
    merged.push_back(size);
    for (int i = 0; i < ops; ++i) st[i].push_back(strides[i][int(d)]);
  }
  shape = merged;
  for (int i = 0; i < ops; ++i) strides[i] = st[i];
}

Dims expanded_bytes(const Tensor& t, const Dims& shape) {
  Dims s(shape.size(), 0);
  int shift = shape.size() - t.dim();
  for (int i = 0; i < t.dim(); ++i)
    if (t.shape()[i] != 1 || shape[i + shift] == 1) s[i + shift] = t.strides()[i] * t.itemsize();
  return s;
}

namespace {

constexpr int64_t kGrain = 32768;
constexpr int kBlock = 512; // elements of a conversion buffer

struct Plan {
  ElemKernel kernel;
  DType compute, result;
  int n_in;
  DType in_types[kMaxOperands];
  DType out_type;
  const double* p;
  int64_t in_strides[kMaxOperands];
  int64_t out_stride;
  unsigned scalars = 0, direct = 0; // inputs of one element; those that the kernel reads in place
  bool plain = false;               // all of them, and the output too
  bool streamed = false;            // no cache holds the operands: write past it
};

// One run that needs casts or gathers or is streamed, block by block through buffers in cache.
void run_buffered(const Plan& pl, char* const* ptr, int64_t n) {
  const unsigned scalars = pl.scalars, direct = pl.direct;
  alignas(64) char buf[kMaxOperands][kBlock * 16], done[kBlock * 16];
  int csize = size_of(pl.compute), rsize = size_of(pl.result);
  bool out_direct = pl.out_type == pl.result && pl.out_stride == rsize;
  CastKernel casts[kMaxOperands];
  const void* in[kMaxOperands];
  for (int i = 0; i < pl.n_in; ++i) {
    casts[i] = cast_kernel(pl.in_types[i], pl.compute);
    if (scalars >> i & 1) {
      casts[i](ptr[i + 1], 0, buf[i + 1], csize, 1);
      in[i] = buf[i + 1];
    }
  }
  CastKernel cast_out = cast_kernel(pl.result, pl.out_type);
  for (int64_t b = 0; b < n; b += kBlock) {
    int64_t m = std::min<int64_t>(kBlock, n - b);
    for (int i = 0; i < pl.n_in; ++i) {
      if (scalars >> i & 1) continue;
      const char* src = ptr[i + 1] + b * pl.in_strides[i];
      if (direct >> i & 1) {
        in[i] = src;
      } else {
        casts[i](src, pl.in_strides[i], buf[i + 1], csize, m);
        in[i] = buf[i + 1];
      }
    }
    char *dst = ptr[0] + b * pl.out_stride, *made = pl.streamed ? done : dst;
    pl.kernel(in, out_direct ? made : buf[0], m, scalars, pl.p);
    if (!out_direct) cast_out(buf[0], rsize, made, pl.out_stride, m);
    if (pl.streamed) stream_bytes(dst, done, m * pl.out_stride);
  }
}

void run_row(const Plan& pl, char* const* ptr, int64_t n) {
  if (!pl.plain || pl.streamed) return run_buffered(pl, ptr, n);
  // Not copied: to read several pointers that were just written, as a vector, takes long.
  pl.kernel(reinterpret_cast<const void* const*>(ptr + 1), ptr[0], n, pl.scalars, pl.p);
}

void set_ways(Plan& pl, bool single) {
  for (int i = 0; i < pl.n_in; ++i) {
    if (pl.in_strides[i] == 0 || single) pl.scalars |= 1u << i;
    bool dense = pl.in_strides[i] == size_of(pl.compute) || pl.scalars >> i & 1;
    if (pl.in_types[i] == pl.compute && dense) pl.direct |= 1u << i;
  }
  pl.plain = pl.direct == (1u << pl.n_in) - 1 && pl.out_type == pl.result &&
             (pl.out_stride == size_of(pl.result) || single);
}

// Whether the operands are more than a cache holds and the output is none of the inputs.
bool exceeds_cache(const StridedLoop& loop, const Plan& pl) {
  int64_t bytes = 0;
  for (int i = 0; i < loop.ops; ++i) {
    if (i > 0 && loop.base[i] == loop.base[0]) return false;
    int64_t size = size_of(i > 0 ? pl.in_types[i - 1] : pl.out_type);
    for (int d = 0; d < loop.shape.size(); ++d)
      if (loop.strides[i][d]) size *= loop.shape[d];
    bytes += size;
  }
  return bytes > cache_bytes();
}

// An input that is dense along another dimension than the output: that dimension, or 0.
int crossed_dimension(const StridedLoop& loop, const Plan& pl) {
  if (loop.shape.size() < 2 || loop.shape[0] < 8 || pl.out_stride != size_of(pl.out_type)) return 0;
  for (int i = 0; i < pl.n_in; ++i) {
    int64_t size = size_of(pl.in_types[i]), stride = pl.in_strides[i];
    if (stride == 0 || stride == size || size > 8) continue;
    int d = dense_dimension(loop, i + 1, size);
    if (d > 0 && loop.shape[d] >= 8) return d;
  }
  return 0;
}

// Strips of rows along dimension d; inputs that are dense along it are turned, block by block, into
// buffers in cache, where rows are dense. A block's rows are short and lie apart, which the
// processor does not foresee: those to come are asked for.
void run_crossed(const StridedLoop& loop, Plan pl, int d) {
  constexpr int64_t kRows = 64, kRowBytes = 1024, kAhead = 2;
  unsigned crossed = 0;
  int64_t width = kRowBytes;
  for (int i = 0; i < pl.n_in; ++i) {
    int64_t size = size_of(pl.in_types[i]);
    if (pl.in_strides[i] == 0 || pl.in_strides[i] == size || loop.strides[i + 1][d] != size)
      continue;
    crossed |= 1u << i;
    pl.in_strides[i] = size;
    width = std::min(width, kRowBytes / size);
  }
  set_ways(pl, false);
  pl.streamed = exceeds_cache(loop, pl);
  loop.run_strips(d, kRows, kGrain, [&](char* const* strip, int64_t rows) {
    alignas(64) char turned[kMaxOperands][kRows * kRowBytes];
    for (int64_t b = 0; b < loop.shape[0]; b += width) {
      int64_t m = std::min(width, loop.shape[0] - b), step[kMaxOperands], bytes[kMaxOperands];
      char* ptr[kMaxOperands] = {};
      for (int i = 0; i < loop.ops; ++i) {
        step[i] = loop.strides[i][d];
        bytes[i] = m * loop.strides[i][0];
        ptr[i] = strip[i] + b * loop.strides[i][0];
        if (i == 0 || !(crossed >> (i - 1) & 1)) continue;
        dispatch_size(size_of(pl.in_types[i - 1]), [&](auto tag) {
          using T = typename decltype(tag)::type;
          transpose_tiles(reinterpret_cast<T*>(turned[i]), kRowBytes,
                          reinterpret_cast<const T*>(ptr[i]), loop.strides[i][0], m, rows);
        });
        ptr[i] = turned[i];
        step[i] = kRowBytes;
        bytes[i] = 0;
      }
      for (int64_t r = 0; r < rows; ++r) {
        for (int i = pl.streamed; i < loop.ops && r + kAhead < rows; ++i)
          for (int64_t k = 0; k < bytes[i]; k += 64)
            __builtin_prefetch(ptr[i] + kAhead * step[i] + k);
        run_row(pl, ptr, m);
        for (int i = 0; i < loop.ops; ++i) ptr[i] += step[i];
      }
    }
  });
}

} // namespace

void run_elementwise(ElemKernel kernel, DType compute, DType result, const Tensor& out,
                     const Tensor* in, int n_in, const double* p) {
  if (out.numel() == 0) return;
  Plan pl{kernel, compute, result, n_in, {}, out.dtype(), p, {}, 0};
  bool flat = out.is_contiguous(), exact = out.dtype() == result;
  char* bytes[kMaxOperands] = {};
  alignas(16) char number[kMaxOperands][16]; // single elements of other types are converted once
  unsigned scalars = 0;
  for (int i = 0; i < n_in; ++i) {
    pl.in_types[i] = in[i].dtype();
    bytes[i] = in[i].bytes();
    if (in[i].numel() == 1) {
      scalars |= 1u << i;
      if (pl.in_types[i] != compute) {
        cast_kernel(pl.in_types[i], compute)(bytes[i], 0, number[i], 0, 1);
        pl.in_types[i] = compute;
        bytes[i] = number[i];
      }
    }
    exact = exact && pl.in_types[i] == compute;
    flat = flat && ((in[i].is_contiguous() && in[i].shape() == out.shape()) || scalars >> i & 1);
  }
  if (flat && exact && out.numel() <= kGrain) { // the short way for small tensors
    const void* src[] = {bytes[0], bytes[1], bytes[2]};
    kernel(src, out.bytes(), out.numel(), scalars, p);
    return;
  }
  StridedLoop loop;
  loop.add(out.bytes(), expanded_bytes(out, out.shape()));
  for (int i = 0; i < n_in; ++i) loop.add(bytes[i], expanded_bytes(in[i], out.shape()));
  loop.prepare(out.shape());
  int64_t n0 = loop.inner();
  for (int i = 0; i < n_in; ++i) pl.in_strides[i] = loop.shape.empty() ? 0 : loop.strides[i + 1][0];
  pl.out_stride = loop.shape.empty() ? size_of(out.dtype()) : loop.strides[0][0];
  int d = crossed_dimension(loop, pl);
  if (d > 0) return run_crossed(loop, pl, d);
  set_ways(pl, n0 == 1);
  pl.streamed =
      n0 >= kStreamBlock && pl.out_stride == size_of(pl.out_type) && exceeds_cache(loop, pl);
  loop.run(kGrain, [&](char* const* ptr, int64_t n) { run_row(pl, ptr, n); });
}

} // namespace flambeau
