// Max and average pooling: windows, borders and threads around the row kernels.
#include "pool_kernels.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "gemm_kernels.h"
#include "parallel.h"

namespace flambeau {

namespace {

constexpr int64_t kChunkElements = 1 << 15;
constexpr int kSlotRow = 5;

int64_t ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }
int64_t volume(const int64_t (&v)[3]) { return v[0] * v[1] * v[2]; }

template<class T>
const PoolRows<T>& rows_kernels() {
  static const PoolRows<T>* const rows = cpu_isa() == 2   ? avx512::pool_rows<T>()
                                         : cpu_isa() == 1 ? avx2::pool_rows<T>()
                                                          : base::pool_rows<T>();
  return *rows;
}

template<class F>
void for_each_plane(int64_t planes, int64_t size, F f) {
  const int64_t grain = std::max<int64_t>(1, kChunkElements / std::max<int64_t>(size, 1));
  parallel_for(planes, grain, [&](int64_t p, int64_t end) {
    for (; p < end; p++) f(p);
  });
}

// The first position of window o that is inside the input, and the position of tap t.
struct Axis {
  int64_t in, kernel, stride, pad, dil;
  Axis(const PoolShape& s, int d)
      : in(s.in[d]), kernel(s.kernel[d]), stride(s.stride[d]), pad(s.pad[d]), dil(s.dil[d]) {}
  int64_t at(int64_t o, int64_t t) const { return o * stride - pad + t * dil; }
  int64_t first(int64_t o) const {
    const int64_t start = o * stride - pad;
    return start >= 0 ? start : start + ceil_div(-start, dil) * dil;
  }
  bool inside(int64_t i) const { return i >= 0 && i < in; }
  // The outputs [begin, end) of `count` whose tap t is inside.
  void range(int64_t count, int64_t t, int64_t& begin, int64_t& end) const {
    const int64_t shift = t * dil - pad;
    begin = shift >= 0 ? 0 : std::min(count, ceil_div(-shift, stride));
    end = in > shift ? std::min(count, ceil_div(in - shift, stride)) : 0;
    end = std::max(begin, end);
  }
};

template<class T>
struct MaxPool {
  const PoolRows<T>& rows = rows_kernels<T>();
  const PoolShape& s;
  Axis d, h, w;
  bool pairs; // 2 x 2 windows side by side, none of them cut by a border

  explicit MaxPool(const PoolShape& shape) : s(shape), d(s, 0), h(s, 1), w(s, 2) {
    auto simple = [&](const Axis& a, int64_t k, int64_t out) {
      return a.kernel == k && a.stride == k && a.pad == 0 && a.dil == 1 && out * k <= a.in;
    };
    pairs = simple(d, 1, s.out[0]) && simple(h, 2, s.out[1]) && simple(w, 2, s.out[2]) &&
            w.in < (int64_t(1) << 30);
  }

  void row(const T* x, int64_t od, int64_t oh, T* best, int64_t* index) const {
    if (pairs) {
      const int64_t at = (od * h.in + 2 * oh) * w.in;
      return rows.max_2x2(s.out[2], x + at, w.in, at, best, index);
    }
    const int64_t start = (d.first(od) * h.in + h.first(oh)) * w.in;
    for (int64_t ow = 0; ow < s.out[2]; ow++) {
      best[ow] = -std::numeric_limits<T>::infinity();
      index[ow] = start + w.first(ow);
    }
    for (int64_t i = 0; i < d.kernel; i++)
      for (int64_t j = 0; j < h.kernel; j++) {
        const int64_t id = d.at(od, i), ih = h.at(oh, j);
        if (!d.inside(id) || !h.inside(ih)) continue;
        for (int64_t k = 0; k < w.kernel; k++) {
          int64_t begin, end;
          w.range(s.out[2], k, begin, end);
          if (begin == end) continue;
          const int64_t at = (id * h.in + ih) * w.in + w.at(begin, k);
          rows.max_tap(end - begin, x + at, w.stride, at, best + begin, index + begin);
        }
      }
  }
};

// Average pooling's windows of one axis: [begin, end) inside, and the size that counts padding.
struct Span {
  int64_t begin, end, padded;
  Span(const PoolShape& s, int d, int64_t o) {
    const int64_t start = o * s.stride[d] - s.pad[d];
    const int64_t stop = std::min(start + s.kernel[d], s.in[d] + s.pad[d]);
    padded = stop - start;
    begin = std::max<int64_t>(start, 0);
    end = std::max(begin, std::min(stop, s.in[d]));
  }
};

// scale[ow] = 1 / divisor of every window of an output row, zero where a window is empty.
template<class T>
void row_scales(const PoolShape& s, bool count_pad, int64_t override_, const Span& d, const Span& h,
                T* divisor) {
  for (int64_t ow = 0; ow < s.out[2]; ow++) {
    const Span w(s, 2, ow);
    const int64_t inside = (d.end - d.begin) * (h.end - h.begin) * (w.end - w.begin);
    const int64_t size = override_ != 0 ? override_
                         : count_pad    ? d.padded * h.padded * w.padded
                                        : inside;
    divisor[ow] = inside == 0 ? T(1) : T(size);
  }
}

struct Window {
  int64_t begin, end;
  Window(int64_t i, int64_t in, int64_t out)
      : begin(i / out * in + i % out * in / out), end(1 + ((i + 1) * in - 1) / out) {}
};

// Calls f(output position, depth, height and width windows) for each output of a plane.
template<class F>
void for_each_window(const PoolShape& s, F f) {
  int64_t o = 0;
  for (int64_t i = 0; i < s.out[0]; i++)
    for (int64_t j = 0; j < s.out[1]; j++)
      for (int64_t k = 0; k < s.out[2]; k++, o++)
        f(o, Window(i, s.in[0], s.out[0]), Window(j, s.in[1], s.out[1]),
          Window(k, s.in[2], s.out[2]));
}

} // namespace

template<class T>
void max_pool_forward(const PoolShape& s, const T* x, T* y, int64_t* indices) {
  const MaxPool<T> pool(s);
  const int64_t in = volume(s.in), out = volume(s.out), ow = s.out[2];
  for_each_plane(s.planes, in + out, [&](int64_t plane) {
    int64_t* spare = indices == nullptr ? workspace<int64_t>(kSlotRow, ow) : nullptr;
    for (int64_t r = 0; r < s.out[0] * s.out[1]; r++) {
      const int64_t at = plane * out + r * ow;
      pool.row(x + plane * in, r / s.out[1], r % s.out[1], y + at,
               indices == nullptr ? spare : indices + at);
    }
  });
}

template<class T>
void max_pool_backward(int64_t planes, int64_t in_size, int64_t out_size, const T* dy,
                       const int64_t* indices, T* dx) {
  for_each_plane(planes, in_size + out_size, [&](int64_t plane) {
    T* to = dx + plane * in_size;
    std::fill_n(to, in_size, T(0));
    for (int64_t i = plane * out_size; i < (plane + 1) * out_size; i++) to[indices[i]] += dy[i];
  });
}

template<class T>
void avg_pool_forward(const PoolShape& s, bool count_include_pad, int64_t divisor_override,
                      const T* x, T* y) {
  PoolShape shape = s;
  std::fill_n(shape.dil, 3, 1);
  const Axis w(shape, 2);
  const auto& rows = rows_kernels<T>();
  const int64_t in = volume(s.in), out = volume(s.out), ow = s.out[2];
  for_each_plane(s.planes, in + out, [&](int64_t plane) {
    T* divisor = workspace<T>(kSlotRow, ow);
    for (int64_t r = 0; r < s.out[0] * s.out[1]; r++) {
      const Span d(s, 0, r / s.out[1]), h(s, 1, r % s.out[1]);
      T* to = y + plane * out + r * ow;
      std::fill_n(to, ow, T(0));
      for (int64_t i = d.begin; i < d.end; i++)
        for (int64_t j = h.begin; j < h.end; j++)
          for (int64_t k = 0; k < w.kernel; k++) {
            int64_t begin, end;
            w.range(ow, k, begin, end);
            if (begin == end) continue;
            const T* from = x + plane * in + (i * s.in[1] + j) * s.in[2] + w.at(begin, k);
            rows.add_tap(end - begin, from, w.stride, to + begin);
          }
      row_scales(s, count_include_pad, divisor_override, d, h, divisor);
      for (int64_t i = 0; i < ow; i++) to[i] /= divisor[i];
    }
  });
}

template<class T>
void avg_pool_backward(const PoolShape& s, bool count_include_pad, int64_t divisor_override,
                       const T* dy, T* dx) {
  PoolShape shape = s;
  std::fill_n(shape.dil, 3, 1);
  const Axis w(shape, 2);
  const auto& rows = rows_kernels<T>();
  const int64_t in = volume(s.in), out = volume(s.out), ow = s.out[2];
  for_each_plane(s.planes, in + out, [&](int64_t plane) {
    T* share = workspace<T>(kSlotRow, ow);
    std::fill_n(dx + plane * in, in, T(0));
    for (int64_t r = 0; r < s.out[0] * s.out[1]; r++) {
      const Span d(s, 0, r / s.out[1]), h(s, 1, r % s.out[1]);
      const T* from = dy + plane * out + r * ow;
      row_scales(s, count_include_pad, divisor_override, d, h, share);
      for (int64_t i = 0; i < ow; i++) share[i] = from[i] / share[i];
      for (int64_t i = d.begin; i < d.end; i++)
        for (int64_t j = h.begin; j < h.end; j++)
          for (int64_t k = 0; k < w.kernel; k++) {
            int64_t begin, end;
            w.range(ow, k, begin, end);
            if (begin == end) continue;
            T* to = dx + plane * in + (i * s.in[1] + j) * s.in[2] + w.at(begin, k);
            rows.add_back(end - begin, share + begin, w.stride, to);
          }
    }
  });
}

template<class T>
void adaptive_avg_pool_forward(const PoolShape& s, const T* x, T* y) {
  const auto& rows = rows_kernels<T>();
  const int64_t in = volume(s.in), out = volume(s.out);
  for_each_plane(s.planes, in + out, [&](int64_t plane) {
    const T* from = x + plane * in;
    for_each_window(s, [&](int64_t o, Window d, Window h, Window w) {
      T sum = 0;
      if (w.end - w.begin == s.in[2]) { // whole rows are neighbours
        for (int64_t i = d.begin; i < d.end; i++)
          sum += rows.sum((h.end - h.begin) * s.in[2], from + (i * s.in[1] + h.begin) * s.in[2]);
      } else {
        for (int64_t i = d.begin; i < d.end; i++)
          for (int64_t j = h.begin; j < h.end; j++)
            for (int64_t k = w.begin; k < w.end; k++) sum += from[(i * s.in[1] + j) * s.in[2] + k];
      }
      const int64_t count = (d.end - d.begin) * (h.end - h.begin) * (w.end - w.begin);
      y[plane * out + o] = sum / T(count);
    });
  });
}

template<class T>
void adaptive_avg_pool_backward(const PoolShape& s, const T* dy, T* dx) {
  const int64_t in = volume(s.in), out = volume(s.out);
  for_each_plane(s.planes, in + out, [&](int64_t plane) {
    T* to = dx + plane * in;
    std::fill_n(to, in, T(0));
    for_each_window(s, [&](int64_t o, Window d, Window h, Window w) {
      const int64_t count = (d.end - d.begin) * (h.end - h.begin) * (w.end - w.begin);
      const T share = dy[plane * out + o] / T(count);
      for (int64_t i = d.begin; i < d.end; i++)
        for (int64_t j = h.begin; j < h.end; j++)
          for (int64_t k = w.begin; k < w.end; k++) to[(i * s.in[1] + j) * s.in[2] + k] += share;
    });
  });
}

template<class T>
void adaptive_max_pool_forward(const PoolShape& s, const T* x, T* y, int64_t* indices) {
  const int64_t in = volume(s.in), out = volume(s.out);
  for_each_plane(s.planes, in + out, [&](int64_t plane) {
    const T* from = x + plane * in;
    for_each_window(s, [&](int64_t o, Window d, Window h, Window w) {
      int64_t at = (d.begin * s.in[1] + h.begin) * s.in[2] + w.begin;
      T best = -std::numeric_limits<T>::infinity();
      for (int64_t i = d.begin; i < d.end; i++)
        for (int64_t j = h.begin; j < h.end; j++)
          for (int64_t k = w.begin; k < w.end; k++) {
            const int64_t here = (i * s.in[1] + j) * s.in[2] + k;
            if (from[here] > best || std::isnan(from[here])) best = from[here], at = here;
          }
      y[plane * out + o] = best;
      if (indices != nullptr) indices[plane * out + o] = at;
    });
  });
}

#define FLAMBEAU_POOL(T)                                                                       \
  template void max_pool_forward<T>(const PoolShape&, const T*, T*, int64_t*);                 \
  template void max_pool_backward<T>(int64_t, int64_t, int64_t, const T*, const int64_t*, T*); \
  template void avg_pool_forward<T>(const PoolShape&, bool, int64_t, const T*, T*);            \
  template void avg_pool_backward<T>(const PoolShape&, bool, int64_t, const T*, T*);           \
  template void adaptive_avg_pool_forward<T>(const PoolShape&, const T*, T*);                  \
  template void adaptive_avg_pool_backward<T>(const PoolShape&, const T*, T*);                 \
  template void adaptive_max_pool_forward<T>(const PoolShape&, const T*, T*, int64_t*);
FLAMBEAU_POOL(float)
FLAMBEAU_POOL(double)

} // namespace flambeau
