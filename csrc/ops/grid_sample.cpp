// grid_sample's kernel: for a block of points their taps, then all channels by those.
#include <algorithm>
#include <cmath>

#include "../core/op.h"
#include "../core/registry.h"
#include "../cpu/gemm_kernels.h"
#include "../cpu/parallel.h"
#include "../cpu/resample.h"
#include "../cpu/vecmath.h"
#include "ops.h"

namespace flambeau {
namespace {

enum class Mode { Nearest, Linear, Cubic };
enum class Padding { Zeros, Border, Reflection };
constexpr int kBlock = 64;    // points at a time
constexpr int kMostTaps = 16; // of a point

struct Sampling {
  Mode mode;
  Padding padding;
  bool corners; // -1 and 1 are the centres of the border pixels, not their outer edges
  int axes;
  int64_t size[3]; // of the input; the first axis of a grid is the last of these
  int taps_each() const { return mode == Mode::Nearest ? 1 : mode == Mode::Linear ? 2 : 4; }
  int taps() const { return axes == 2 ? taps_each() * taps_each() : mode == Mode::Linear ? 8 : 1; }
};

template<class T>
struct Coordinate {
  T at, slope; // the derivative by the grid's value
};

template<class T>
Coordinate<T> reflected(Coordinate<T> x, T low, T high) { // both doubled
  if (low == high) return {0, 0};
  const T start = low / 2, span = (high - low) / 2, from = x.at - start;
  const T rest = std::abs(from), flips = std::floor(rest / span), extra = rest - flips * span;
  const bool even = std::fmod(flips, T(2)) == 0;
  const T sign = (from < 0 ? T(-1) : T(1)) * (even ? T(1) : T(-1));
  return {even ? extra + start : span - extra + start, x.slope * sign};
}

template<class T>
Coordinate<T> bounded(const Sampling& s, Coordinate<T> x, int64_t size) {
  if (s.padding == Padding::Zeros) return x;
  if (s.padding == Padding::Reflection)
    x = s.corners ? reflected(x, T(0), T(2 * (size - 1))) : reflected(x, T(-1), T(2 * size - 1));
  if (!(x.at > 0)) return {0, 0};
  return x.at < T(size - 1) ? x : Coordinate<T>{T(size - 1), 0};
}

// Where a grid's value points to, in pixels.
template<class T>
FB_MATH Coordinate<T> pixel(const Sampling& s, T g, int64_t size) {
  return s.corners ? Coordinate<T>{(g + 1) * (T(size - 1) / 2), T(size - 1) / 2}
                   : Coordinate<T>{((g + 1) * T(size) - 1) / 2, T(size) / 2};
}

template<class T>
struct AxisTaps { // weights, their derivatives by the grid, positions (-1: outside)
  T weight[4], slope[4];
  int64_t position[4];
};

// Keys' kernel, a = -0.75, and its derivative by x.
template<class T>
Coordinate<T> keys(T x) {
  const T a = T(-0.75), d = std::abs(x), sign = x < 0 ? T(-1) : T(1);
  if (d <= 1)
    return {((a + 2) * d - (a + 3)) * d * d + 1, sign * (3 * (a + 2) * d - 2 * (a + 3)) * d};
  if (d < 2) return {((d - 5) * d + 8) * d * a - 4 * a, sign * a * ((3 * d - 10) * d + 8)};
  return {0, 0};
}

template<class T, int n>
FB_MATH AxisTaps<T> axis_taps(const Sampling& s, T g, int64_t size) {
  constexpr Mode mode = n == 1 ? Mode::Nearest : n == 2 ? Mode::Linear : Mode::Cubic;
  Coordinate<T> x = pixel(s, g, size);
  if (mode != Mode::Cubic) x = bounded(s, x, size);
  AxisTaps<T> r;
  const T whole = T(int64_t(x.at)); // cheaper than floor(); what is beyond is outside in any case
  const T low = mode == Mode::Nearest ? math::round_small(x.at) : whole - T(whole > x.at);
  const T part = x.at - low;
  constexpr int first = mode == Mode::Cubic ? -1 : 0;
  for (int k = 0; k < n; ++k) {
    T place = low + T(first + k);
    if (mode == Mode::Nearest) {
      r.weight[k] = 1, r.slope[k] = 0;
    } else if (mode == Mode::Linear) {
      r.weight[k] = k ? part : 1 - part, r.slope[k] = k ? x.slope : -x.slope;
    } else {
      const Coordinate<T> w = keys(part - T(first + k));
      r.weight[k] = w.at, r.slope[k] = w.slope * x.slope;
      place = bounded(s, Coordinate<T>{place, 1}, size).at;
    }
    const bool inside = place >= 0 && place <= T(size - 1);
    r.position[k] = inside ? int64_t(place) : -1;
  }
  return r;
}

// The taps of up to kBlock points: index and weight of tap k of point i at [k * n + i].
template<class T>
struct Block {
  int n;
  int32_t index[kMostTaps * kBlock];
  T weight[kMostTaps * kBlock];
  T slope[3][kMostTaps * kBlock]; // derivatives of the weight by the grid's values, x first

  void fill(const Sampling& s, const T* grid, int points) {
    n = points;
    const int each = s.taps_each();
    if (s.axes == 2)
      each == 1   ? combine<2, 1>(s, grid)
      : each == 2 ? combine<2, 2>(s, grid)
                  : combine<2, 4>(s, grid);
    else
      each == 1 ? combine<3, 1>(s, grid) : combine<3, 2>(s, grid);
  }
  // All combinations of the axes' taps, the last axis fastest.
  template<int axes, int each>
  void combine(const Sampling& s, const T* grid) {
    constexpr int taps = axes == 2 ? each * each : each * each * each;
    for (int i = 0; i < n; ++i) {
      AxisTaps<T> axis[axes];
      for (int a = 0; a < axes; ++a)
        axis[a] = axis_taps<T, each>(s, grid[i * axes + axes - 1 - a], s.size[a]);
      for (int k = 0; k < taps; ++k) {
        int64_t at = 0;
        bool inside = true;
        T w[axes], d[axes], all = 1;
        for (int a = 0, of = taps / each; a < axes; ++a, of /= each) {
          const int tap = k / of % each;
          w[a] = axis[a].weight[tap], d[a] = axis[a].slope[tap];
          inside = inside && axis[a].position[tap] >= 0;
          at = at * s.size[a] + axis[a].position[tap];
          all *= w[a];
        }
        const int to = k * n + i;
        index[to] = inside ? int32_t(at) : 0;
        weight[to] = inside ? all : T(0);
        for (int a = 0; a < axes; ++a) {
          T by = d[a];
          for (int b = 0; b < axes; ++b) by *= b == a ? T(1) : w[b];
          slope[axes - 1 - a][to] = inside ? by : T(0);
        }
      }
    }
  }
};

template<class T>
struct Job {
  Sampling s;
  int64_t batch, channels, pixels, points;
  const T *x, *grid;

  // f(n, first point, Block) for blocks of points, in parallel.
  template<class F>
  void each(int64_t work, F&& f) const {
    const int64_t blocks = (points + kBlock - 1) / kBlock;
    const int64_t grain = std::max<int64_t>(1, 32768 / (kBlock * s.taps() * work));
    parallel_for(batch * blocks, grain, [&](int64_t i, int64_t end) {
      Block<T> block;
      for (; i < end; ++i) {
        const int64_t n = i / blocks, p = i % blocks * kBlock;
        block.fill(s, grid + (n * points + p) * s.axes, int(std::min<int64_t>(kBlock, points - p)));
        f(n, p, block);
      }
    });
  }
  static const ResampleRows<T>* kernels() {
    return cpu_isa() == 2   ? avx512::resample_rows<T>()
           : cpu_isa() == 1 ? avx2::resample_rows<T>()
                            : base::resample_rows<T>();
  }
  // Bilinear values of floats: two pixels are one load.
  void forward_pairs(T* y) const
    requires(std::is_same_v<T, float>)
  {
    const PairKernels* kernels = cpu_isa() == 2   ? avx512::pair_kernels()
                                 : cpu_isa() == 1 ? avx2::pair_kernels()
                                                  : base::pair_kernels();
    constexpr int kBlock = PixelPairs::kPoints;
    const int64_t blocks = (points + kBlock - 1) / kBlock;
    const int64_t grain = std::max<int64_t>(1, 32768 / (kBlock * s.taps() * channels));
    parallel_for(batch * blocks, grain, [&](int64_t i, int64_t end) {
      PixelPairs pairs;
      for (; i < end; ++i) {
        const int64_t n = i / blocks, p = i % blocks * kBlock;
        const int count = int(std::min<int64_t>(kBlock, points - p));
        const T* at = grid + (n * points + p) * 2;
        T place[2][kBlock] = {}; // a whole number of vectors
        for (int a = 0; a < 2; ++a)
          for (int j = 0; j < count; ++j)
            place[a][j] = bounded(s, pixel(s, at[2 * j + a], s.size[1 - a]), s.size[1 - a]).at;
        kernels->fill((count + 3) / 4 * 4, place[0], place[1], int32_t(s.size[1]),
                      int32_t(s.size[0]), pairs);
        for (int64_t plane = n * channels; plane < (n + 1) * channels; ++plane)
          kernels->sum(count, x + plane * pixels, pairs, y + plane * points + p);
      }
    });
  }
  void forward(T* y) const {
    if constexpr (std::is_same_v<T, float>)
      if (s.axes == 2 && s.mode == Mode::Linear && s.size[1] >= 2 && pixels <= INT32_MAX)
        return forward_pairs(y);
    const ResampleRows<T>* rows = kernels();
    each(channels, [&](int64_t n, int64_t p, const Block<T>& b) {
      for (int64_t c = 0; c < channels; ++c) {
        const int64_t plane = n * channels + c;
        rows->pick(b.n, s.taps(), x + plane * pixels, b.index, b.weight, y + plane * points + p);
      }
    });
  }
  // The images' gradient: all points of some channels.
  void backward_input(const T* g, T* dx) const {
    const int64_t wanted = (2 * num_threads() + batch - 1) / batch; // channels do not meet
    const int64_t groups = num_threads() == 1 ? 1 : std::min(channels, wanted);
    const int64_t step = (channels + groups - 1) / groups;
    parallel_for(batch * groups, 1, [&](int64_t i, int64_t end) {
      Block<T> b;
      for (; i < end; ++i) {
        const int64_t n = i / groups, from = i % groups * step,
                      to = std::min(channels, from + step);
        if (from < to) std::fill_n(dx + (n * channels + from) * pixels, (to - from) * pixels, T(0));
        for (int64_t p = 0; p < points && from < to; p += kBlock) {
          b.fill(s, grid + (n * points + p) * s.axes, int(std::min<int64_t>(kBlock, points - p)));
          for (int64_t c = from; c < to; ++c) {
            const T* up = g + (n * channels + c) * points + p;
            T* down = dx + (n * channels + c) * pixels;
            int k = 0;
            for (; k + 4 <= s.taps(); k += 4) // places that differ, so that none waits for another
              for (int j = 0; j < b.n; ++j)
                for (int t = k; t < k + 4; ++t)
                  down[b.index[t * b.n + j]] += b.weight[t * b.n + j] * up[j];
            for (; k < s.taps(); ++k)
              for (int j = 0; j < b.n; ++j)
                down[b.index[k * b.n + j]] += b.weight[k * b.n + j] * up[j];
          }
        }
      }
    });
  }
  void backward_grid(const T* g, T* dgrid) const {
    if (s.mode == Mode::Nearest) { // a step function
      std::fill_n(dgrid, batch * points * s.axes, T(0));
      return;
    }
    const ResampleRows<T>* rows = kernels();
    each(channels * s.axes, [&](int64_t n, int64_t p, const Block<T>& b) {
      T sums[3][kBlock] = {};
      for (int64_t c = 0; c < channels; ++c) {
        const int64_t plane = n * channels + c;
        for (int a = 0; a < s.axes; ++a)
          rows->pick_add(b.n, s.taps(), x + plane * pixels, b.index, b.slope[a],
                         g + plane * points + p, sums[a]);
      }
      T* to = dgrid + (n * points + p) * s.axes;
      for (int j = 0; j < b.n; ++j)
        for (int a = 0; a < s.axes; ++a) to[j * s.axes + a] = sums[a][j];
    });
  }
};

Sampling sampling_of(Args& a, const Tensor& x) {
  Sampling s{};
  s.mode = a.text(2) == "nearest"    ? Mode::Nearest
           : a.text(2) == "bilinear" ? Mode::Linear
                                     : Mode::Cubic;
  s.padding = a.text(3) == "zeros"    ? Padding::Zeros
              : a.text(3) == "border" ? Padding::Border
                                      : Padding::Reflection;
  s.corners = a.flag(4);
  s.axes = x.dim() - 2;
  for (int i = 0; i < s.axes; ++i) s.size[i] = x.shape()[2 + i];
  return s;
}
template<class T>
Job<T> job_of(const Sampling& s, const Tensor& x, const Tensor& grid) {
  const int64_t planes = x.size(0) * x.size(1), points = grid.numel() / x.size(0) / s.axes;
  return {s, x.size(0), x.size(1), x.numel() / planes, points, x.data<T>(), grid.data<T>()};
}
Tensor dense(const Tensor& t, DType type) { return contiguous(to_dtype(t, type)); }

// The functions know no derivatives: grid_sample (Python) joins them, and composes second ones.
Value forward(Args& a) {
  NoGrad off;
  Tensor input = a.tensor(0);
  const DType c = compute_type(input.dtype());
  const Sampling s = sampling_of(a, input);
  Tensor x = dense(input, c), grid = dense(a.tensor(1), c);
  Dims shape = grid.shape();
  shape.resize(shape.size() - 1, 0);
  shape.insert(1, x.size(1));
  Tensor y = empty(shape, c);
  dispatch_float(c, "grid_sample", [&](auto tag) {
    using T = typename decltype(tag)::type;
    job_of<T>(s, x, grid).forward(y.data<T>());
  });
  return to_dtype(y, input.dtype());
}
Value backward(Args& a) {
  NoGrad off;
  Tensor input = a.tensor(0), own = a.tensor(1);
  const DType c = compute_type(input.dtype());
  const Sampling s = sampling_of(a, input);
  Tensor x = dense(input, c), grid = dense(own, c), g = dense(a.tensor(5), c);
  Tensor dx = a.flag(6) ? empty(x.shape(), c) : Tensor();
  Tensor dgrid = a.flag(7) ? empty(grid.shape(), c) : Tensor();
  dispatch_float(c, "grid_sample", [&](auto tag) {
    using T = typename decltype(tag)::type;
    const Job<T> job = job_of<T>(s, x, grid);
    if (dx.defined()) job.backward_input(g.data<T>(), dx.data<T>());
    if (dgrid.defined()) job.backward_grid(g.data<T>(), dgrid.data<T>());
  });
  return Tensors{dx.defined() ? to_dtype(dx, input.dtype()) : dx,
                 dgrid.defined() ? to_dtype(dgrid, own.dtype()) : dgrid};
}

Register rows({
    {"_grid_sample(Tensor input, Tensor grid, str mode, str padding_mode, bool align_corners) -> "
     "Tensor",
     kFunction, forward, "Values of images or volumes at points."},
    {"_grid_sample_backward(Tensor input, Tensor grid, str mode, str padding_mode, bool "
     "align_corners, Tensor grad, bool of_input, bool of_grid) -> Tensor()",
     kFunction, backward, "Gradients of _grid_sample; undefined where not asked for."},
});

} // namespace
} // namespace flambeau
