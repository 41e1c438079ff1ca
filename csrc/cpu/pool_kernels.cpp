// Max and average pooling: windows, borders and threads around the row kernels.
#include "pool_kernels.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "gemm_kernels.h"
#include "parallel.h"

namespace flambeau {

namespace {

constexpr int64_t kChunkElements = 1 << 15;
constexpr int kSlotBest = 4, kSlotRow = 5;

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

// The outputs [begin, end) of a row whose tap is inside, and where output `begin` lies.
struct TapRange {
  int64_t begin, end, at;
};

// One dimension of sliding windows.
struct Axis {
  int64_t in, kernel, stride, pad, dil;
  Axis(const PoolShape& s, int d, bool dilated)
      : in(s.in[d]), kernel(s.kernel[d]), stride(s.stride[d]), pad(s.pad[d]),
        dil(dilated ? s.dil[d] : 1) {}
  int64_t at(int64_t o, int64_t t) const { return o * stride - pad + t * dil; }
  // The first position of window o that is inside the input.
  int64_t first(int64_t o) const {
    const int64_t start = o * stride - pad;
    return start >= 0 ? start : start + ceil_div(-start, dil) * dil;
  }
  bool inside(int64_t i) const { return i >= 0 && i < in; }

  // The taps of a row of `count` outputs that are inside for any of them.
  std::vector<TapRange> tap_ranges(int64_t count) const {
    std::vector<TapRange> ranges;
    for (int64_t t = 0; t < kernel; t++) {
      const int64_t shift = t * dil - pad;
      const int64_t begin = shift >= 0 ? 0 : std::min(count, ceil_div(-shift, stride));
      const int64_t end = in > shift ? std::min(count, ceil_div(in - shift, stride)) : 0;
      if (begin < end) ranges.push_back({begin, end, at(begin, t)});
    }
    return ranges;
  }
};

template<class T>
struct MaxPool {
  const PoolRows<T>& rows = rows_kernels<T>();
  const PoolShape& s;
  Axis d, h, w;
  bool pairs; // 2 x 2 windows side by side, none of them cut by a border

  std::vector<TapRange> taps;

  explicit MaxPool(const PoolShape& shape)
      : s(shape), d(s, 0, true), h(s, 1, true), w(s, 2, true), taps(w.tap_ranges(s.out[2])) {
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
        const int64_t row = (id * h.in + ih) * w.in;
        for (const TapRange& t : taps)
          rows.max_tap(t.end - t.begin, x + row + t.at, w.stride, row + t.at, best + t.begin,
                       index + t.begin);
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

template<class T>
struct AveragePool {
  const PoolRows<T>& rows = rows_kernels<T>();
  const PoolShape& s;
  bool count_pad;
  int64_t fixed; // the divisor of every window, 0 where they differ
  std::vector<TapRange> taps;

  AveragePool(const PoolShape& shape, bool count_include_pad, int64_t divisor_override)
      : s(shape), count_pad(count_include_pad), fixed(divisor_override),
        taps(Axis(s, 2, false).tap_ranges(s.out[2])) {
    bool whole = true; // no window meets a border
    for (int d = 0; d < 3; d++)
      whole &= s.pad[d] == 0 && (s.out[d] - 1) * s.stride[d] + s.kernel[d] <= s.in[d];
    if (fixed == 0 && whole) fixed = volume(s.kernel);
  }

  // f(tap of the row, where its first pixel lies) for all that output row r averages.
  template<class F>
  void for_each_tap(int64_t r, F f) const {
    const Span d(s, 0, r / s.out[1]), h(s, 1, r % s.out[1]);
    for (int64_t i = d.begin; i < d.end; i++)
      for (int64_t j = h.begin; j < h.end; j++)
        for (const TapRange& t : taps) f(t, (i * s.in[1] + j) * s.in[2] + t.at);
  }

  void divide(int64_t r, const T* from, T* to) const {
    if (fixed != 0) {
      for (int64_t i = 0; i < s.out[2]; i++) to[i] = from[i] / T(fixed);
      return;
    }
    const Span d(s, 0, r / s.out[1]), h(s, 1, r % s.out[1]);
    for (int64_t i = 0; i < s.out[2]; i++) {
      const Span w(s, 2, i);
      const int64_t inside = (d.end - d.begin) * (h.end - h.begin) * (w.end - w.begin);
      const int64_t size = count_pad ? d.padded * h.padded * w.padded : inside;
      to[i] = inside == 0 ? from[i] : from[i] / T(size);
    }
  }
};

struct Window {
  int64_t begin, end;
  Window(int64_t i, int64_t in, int64_t out)
      : begin(i / out * in + i % out * in / out), end(1 + ((i + 1) * in - 1) / out) {}
};

struct Windows {
  std::vector<Window> axis[3];
  explicit Windows(const PoolShape& s) {
    for (int d = 0; d < 3; d++)
      for (int64_t i = 0; i < s.out[d]; i++) axis[d].emplace_back(i, s.in[d], s.out[d]);
  }

  // Calls f(output position, depth, height and width windows) for each output of a plane.
  template<class F>
  void for_each(F f) const {
    int64_t o = 0;
    for (const Window& d : axis[0])
      for (const Window& h : axis[1])
        for (const Window& w : axis[2]) f(o++, d, h, w);
  }
};

// Whether few, wide windows divide the input exactly, as those of adaptive pooling do.
bool is_adaptive(const PoolShape& s, bool dilated) {
  bool exact = s.kernel[2] > 2 * s.out[2];
  for (int d = 0; d < 3; d++)
    exact &= s.pad[d] == 0 && (!dilated || s.dil[d] == 1) && s.kernel[d] * s.out[d] == s.in[d] &&
             (s.out[d] == 1 || s.stride[d] == s.kernel[d]);
  return exact;
}

} // namespace

template<class T>
void max_pool_forward(const PoolShape& s, const T* x, T* y, int64_t* indices) {
  if (is_adaptive(s, true)) return adaptive_max_pool_forward(s, x, y, indices);
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
  if (divisor_override == 0 && is_adaptive(s, false)) return adaptive_avg_pool_forward(s, x, y);
  const AveragePool<T> pool(s, count_include_pad, divisor_override);
  const int64_t in = volume(s.in), out = volume(s.out), ow = s.out[2];
  for_each_plane(s.planes, in + out, [&](int64_t plane) {
    for (int64_t r = 0; r < s.out[0] * s.out[1]; r++) {
      T* to = y + plane * out + r * ow;
      std::fill_n(to, ow, T(0));
      pool.for_each_tap(r, [&](const TapRange& t, int64_t at) {
        pool.rows.add_tap(t.end - t.begin, x + plane * in + at, s.stride[2], to + t.begin);
      });
      pool.divide(r, to, to);
    }
  });
}

template<class T>
void avg_pool_backward(const PoolShape& s, bool count_include_pad, int64_t divisor_override,
                       const T* dy, T* dx) {
  if (divisor_override == 0 && is_adaptive(s, false)) return adaptive_avg_pool_backward(s, dy, dx);
  const AveragePool<T> pool(s, count_include_pad, divisor_override);
  const int64_t in = volume(s.in), out = volume(s.out), ow = s.out[2];
  for_each_plane(s.planes, in + out, [&](int64_t plane) {
    T* share = workspace<T>(kSlotRow, ow);
    std::fill_n(dx + plane * in, in, T(0));
    for (int64_t r = 0; r < s.out[0] * s.out[1]; r++) {
      pool.divide(r, dy + plane * out + r * ow, share);
      pool.for_each_tap(r, [&](const TapRange& t, int64_t at) {
        pool.rows.add_back(t.end - t.begin, share + t.begin, s.stride[2], dx + plane * in + at);
      });
    }
  });
}

template<class T>
void adaptive_avg_pool_forward(const PoolShape& s, const T* x, T* y) {
  const auto& rows = rows_kernels<T>();
  const Windows windows(s);
  const int64_t in = volume(s.in), out = volume(s.out);
  for_each_plane(s.planes, in + out, [&](int64_t plane) {
    const T* from = x + plane * in;
    if (out == 1) return void(y[plane] = rows.sum(in, from) / T(in));
    windows.for_each([&](int64_t o, const Window& d, const Window& h, const Window& w) {
      T sum = 0;
      if (w.end - w.begin == s.in[2]) { // whole rows are neighbours
        for (int64_t i = d.begin; i < d.end; i++)
          sum += rows.sum((h.end - h.begin) * s.in[2], from + (i * s.in[1] + h.begin) * s.in[2]);
      } else if (w.end - w.begin >= 2 * 16) {
        for (int64_t i = d.begin; i < d.end; i++)
          for (int64_t j = h.begin; j < h.end; j++)
            sum += rows.sum(w.end - w.begin, from + (i * s.in[1] + j) * s.in[2] + w.begin);
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
  const Windows windows(s);
  const int64_t in = volume(s.in), out = volume(s.out);
  for_each_plane(s.planes, in + out, [&](int64_t plane) {
    T* to = dx + plane * in;
    if (out == 1) return void(std::fill_n(to, in, dy[plane] / T(in)));
    std::fill_n(to, in, T(0));
    windows.for_each([&](int64_t o, const Window& d, const Window& h, const Window& w) {
      const int64_t count = (d.end - d.begin) * (h.end - h.begin) * (w.end - w.begin);
      const T share = dy[plane * out + o] / T(count);
      for (int64_t i = d.begin; i < d.end; i++)
        for (int64_t j = h.begin; j < h.end; j++)
          for (int64_t k = w.begin; k < w.end; k++) to[(i * s.in[1] + j) * s.in[2] + k] += share;
    });
  });
}

// The greatest of each column over a window's rows, and where: vectors. Then of each window.
template<class T>
void adaptive_max_pool_forward(const PoolShape& s, const T* x, T* y, int64_t* indices) {
  const auto& rows = rows_kernels<T>();
  const Windows windows(s);
  const int64_t in = volume(s.in), out = volume(s.out), width = s.in[2];
  for_each_plane(s.planes, in + out, [&](int64_t plane) {
    const T* from = x + plane * in;
    T* best = workspace<T>(kSlotBest, width);
    int64_t *index = workspace<int64_t>(kSlotRow, width), o = plane * out;
    for (const Window& d : windows.axis[0])
      for (const Window& h : windows.axis[1]) {
        const int64_t corner = (d.begin * s.in[1] + h.begin) * width;
        for (int64_t k = 0; k < width; k++)
          best[k] = -std::numeric_limits<T>::infinity(), index[k] = corner + k;
        for (int64_t i = d.begin; i < d.end; i++)
          for (int64_t at = (i * s.in[1] + h.begin) * width, j = h.begin; j < h.end;
               j++, at += width)
            rows.max_tap(width, from + at, 1, at, best, index);
        for (const Window& w : windows.axis[2]) {
          int64_t top = w.begin;
          for (int64_t k = w.begin + 1; k < w.end; k++) {
            // Of equals the first counts, of NaN the last.
            const bool nan = std::isnan(best[k]), before = index[k] < index[top];
            if (nan ? !(std::isnan(best[top]) && before)
                    : best[k] > best[top] || (best[k] == best[top] && before))
              top = k;
          }
          y[o] = best[top];
          if (indices != nullptr) indices[o] = index[top];
          o++;
        }
      }
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
