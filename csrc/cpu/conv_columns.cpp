// The gradient for a convolution's input where a column matrix is the cheaper way: few channels,
// or outputs much smaller than the input.
#include <algorithm>

#include "conv.h"
#include "conv_correlation.h"
#include "gemm.h"

namespace flambeau {

namespace {

constexpr int64_t kColumnBudget = 1 << 16; // elements of the column matrix, which lives in L2
constexpr int64_t kChunkWork = 1 << 17;

// The outputs [begin, end) of `count` whose tap lands inside [0, size).
struct Landing {
  int64_t begin, end, first; // first: where output `begin` lands
  Landing(int64_t count, int64_t size, int64_t stride, int64_t shift) {
    begin = shift >= 0 ? 0 : std::min(count, ceil_div(-shift, stride));
    end = std::max(begin, size > shift ? std::min(count, ceil_div(size - shift, stride)) : 0);
    first = begin * stride + shift;
  }
};

// dx of some channels (contiguous planes) += the columns of output rows [r0, r0 + rows).
template<class T>
void add_columns(const ConvShape& s, int64_t channels, int64_t r0, int64_t rows, const T* col,
                 T* dx) {
  if (s.stride_h == 1 && s.stride_w == 1) {
    const FoldShape fold{channels, s.h,  s.w,  s.kh,         s.kw,    s.dil_h,
                         s.dil_w,  rows, s.ow, r0 - s.pad_h, -s.pad_w};
    return conv_kernels<T>().fold(fold, col, dx);
  }
  for (int64_t c = 0; c < channels; c++, dx += s.h * s.w)
    for (int64_t i = 0; i < s.kh; i++) {
      const Landing y(rows, s.h, s.stride_h, i * s.dil_h - s.pad_h + r0 * s.stride_h);
      for (int64_t j = 0; j < s.kw; j++, col += rows * s.ow) {
        const Landing x(s.ow, s.w, s.stride_w, j * s.dil_w - s.pad_w);
        for (int64_t r = y.begin; r < y.end; r++) {
          T* to = dx + (y.first + (r - y.begin) * s.stride_h) * s.w + x.first;
          const T* from = col + r * s.ow + x.begin;
          for (int64_t k = 0; k < x.end - x.begin; k++) to[k * s.stride_w] += from[k];
        }
      }
    }
}

} // namespace

template<class T>
bool columns_are_cheaper(const ConvShape& s) {
  const double lanes = gemm_kernels<T>().lanes, m = double(s.c_in / s.groups);
  const double co = double(s.c_out / s.groups), taps = double(s.kh * s.kw);
  const double reach = double(s.h * s.w) / double(s.stride_h * s.stride_w);
  const double direct = reach * taps * co * std::max(m / lanes + 0.15, 0.2);
  const double add = s.stride_w == 1 ? 0.4 : 1.0;
  return double(s.oh * s.ow) * taps * m * (co / lanes * 1.15 + add) < direct;
}

template<class T>
void conv2d_backward_input_columns(const ConvShape& s, const T* dy, const T* w, T* dx) {
  const int64_t ci = s.c_in / s.groups, co = s.c_out / s.groups, taps = s.kh * s.kw;
  const int64_t pixels = s.oh * s.ow, plane = s.h * s.w;
  const int64_t together = s.n * s.groups >= 8 ? ci : 1, parts = ci / together;
  const int64_t most = std::max<int64_t>(1, kColumnBudget / (together * taps * s.ow));
  const int64_t rows_each = ceil_div(s.oh, ceil_div(s.oh, most));
  const double work = double(pixels) * taps * double(together) * double(co);
  const auto grain = static_cast<int64_t>(std::clamp(kChunkWork / work, 1.0, 1e6));
  parallel_for(s.n * s.groups * parts, grain, [&](int64_t i, int64_t end) {
    T* col = workspace<T>(kSlotColumns, together * taps * rows_each * s.ow);
    for (; i < end; i++) {
      const int64_t image = i / parts, c0 = i % parts * together;
      T* to = dx + (image * ci + c0) * plane;
      std::fill_n(to, together * plane, T(0));
      const T* weight = w + (image % s.groups * co * ci + c0) * taps;
      for (int64_t r = 0; r < s.oh; r += rows_each) {
        const int64_t rows = std::min(rows_each, s.oh - r);
        gemm<T>(true, false, together * taps, rows * s.ow, co, T(1), weight, ci * taps,
                dy + image * co * pixels + r * s.ow, pixels, T(0), col, rows * s.ow);
        add_columns(s, together, r, rows, col, to);
      }
    }
  });
}

#define FLAMBEAU_COLUMNS(T)                               \
  template bool columns_are_cheaper<T>(const ConvShape&); \
  template void conv2d_backward_input_columns<T>(const ConvShape&, const T*, const T*, T*);
FLAMBEAU_COLUMNS(float)
FLAMBEAU_COLUMNS(double)

} // namespace flambeau
