// Two-dimensional convolution and its gradient for the input, as packed matrix products.
#include "conv.h"

#include <type_traits>
#include <utility>
#include <vector>

#include "conv_correlation.h"
#include "conv_winograd.h"

namespace flambeau {

namespace {

// Residues of one dimension of a strided gradient: first output, count, and the taps that meet it.
struct Residue {
  int64_t first, count;
  std::vector<std::pair<int64_t, int64_t>> taps; // (position in the source, index)
};

std::vector<Residue> residues(int64_t size, int64_t kernel, int64_t stride, int64_t pad,
                              int64_t dil) {
  std::vector<Residue> all;
  for (int64_t r = 0; r < stride; r++) {
    Residue residue{((r - pad) % stride + stride) % stride, 0, {}};
    if (residue.first >= size) continue;
    residue.count = ceil_div(size - residue.first, stride);
    for (int64_t i = 0; i < kernel; i++)
      if ((i * dil) % stride == r)
        residue.taps.emplace_back((residue.first + pad - i * dil) / stride, i);
    all.push_back(std::move(residue));
  }
  return all;
}

} // namespace

template<class T>
void conv2d_forward(const ConvShape& s, const T* x, const T* w, const T* bias, T* y) {
  if constexpr (std::is_same_v<T, float>)
    if (winograd_pays(WinogradUse::kForward, s) && winograd_forward(s, x, w, bias, y)) return;
  Correlation<T> job;
  const int64_t c = s.c_in / s.groups, taps = s.kh * s.kw;
  job.n = s.n, job.groups = s.groups, job.m = s.c_out / s.groups;
  job.out_h = s.oh, job.out_w = s.ow;
  job.source = {.channels = c,
                .h = s.h,
                .w = s.w,
                .top = 0,
                .left = 0,
                .rows = 0,
                .width = 0,
                .row_mul = s.stride_h,
                .col_mul = s.stride_w,
                .phase_width = 0,
                .row_step = 0,
                .channel_step = 0,
                .in_place = false};
  job.w = w, job.w_m = c * taps, job.w_channel = taps, job.w_group = job.m * job.w_m;
  job.bias = bias, job.taps_stored = taps;
  Phase phase{0, 0, s.oh, s.ow, {}};
  for (int64_t i = 0; i < s.kh; i++)
    for (int64_t j = 0; j < s.kw; j++)
      phase.taps.push_back({i * s.dil_h - s.pad_h, j * s.dil_w - s.pad_w, i * s.kw + j});
  job.phases.push_back(std::move(phase));
  job.run(x, y);
}

template<class T>
void conv2d_backward_input(const ConvShape& s, const T* dy, const T* w, T* dx) {
  if constexpr (std::is_same_v<T, float>)
    if (winograd_pays(WinogradUse::kInput, s) && winograd_backward_input(s, dy, w, dx)) return;
  if (s.n * s.c_in * s.h * s.w * s.c_out * s.oh * s.ow != 0 && columns_are_cheaper<T>(s))
    return conv2d_backward_input_columns(s, dy, w, dx);
  Correlation<T> job;
  const int64_t taps = s.kh * s.kw;
  job.n = s.n, job.groups = s.groups, job.m = s.c_in / s.groups;
  job.out_h = s.h, job.out_w = s.w;
  job.step_h = s.stride_h, job.step_w = s.stride_w;
  job.source = {.channels = s.c_out / s.groups,
                .h = s.oh,
                .w = s.ow,
                .top = 0,
                .left = 0,
                .rows = 0,
                .width = 0,
                .row_mul = 1,
                .col_mul = 1,
                .phase_width = 0,
                .row_step = 0,
                .channel_step = 0,
                .in_place = false};
  job.w = w, job.w_m = taps, job.w_channel = job.m * taps;
  job.w_group = job.source.channels * job.w_channel;
  job.taps_stored = -1; // the stored order of taps is the reverse of ours
  for (const Residue& r : residues(s.h, s.kh, s.stride_h, s.pad_h, s.dil_h))
    for (const Residue& q : residues(s.w, s.kw, s.stride_w, s.pad_w, s.dil_w)) {
      Phase phase{r.first, q.first, r.count, q.count, {}};
      for (auto [row, i] : r.taps)
        for (auto [column, j] : q.taps) phase.taps.push_back({row, column, i * s.kw + j});
      job.phases.push_back(std::move(phase));
    }
  job.run(dy, dx);
}

#define FLAMBEAU_CONV(T)                                                               \
  template void conv2d_forward<T>(const ConvShape&, const T*, const T*, const T*, T*); \
  template void conv2d_backward_input<T>(const ConvShape&, const T*, const T*, T*);
FLAMBEAU_CONV(float)
FLAMBEAU_CONV(double)

template<class T>
const ConvKernels<T>& conv_kernels() {
  static const ConvKernels<T>* const table = cpu_isa() == 2   ? avx512::conv_table<T>()
                                             : cpu_isa() == 1 ? avx2::conv_table<T>()
                                                              : base::conv_table<T>();
  return *table;
}
template const ConvKernels<float>& conv_kernels<float>();
template const ConvKernels<double>& conv_kernels<double>();

} // namespace flambeau
