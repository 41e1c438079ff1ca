// Winograd's convolution: blocks of tiles through the transforms and 24 matrix products.
#include "conv_winograd.h"

#include <algorithm>
#include <atomic>
#include <cmath>

#include "conv_winograd_tiles.h"
#include "parallel.h"

namespace flambeau {

namespace {

constexpr int64_t kDepth = 128;            // channels summed at a time: longer sums round more
constexpr int64_t kFewestSummed = 32;      // channels; fewer leave a plain sum more exact
constexpr int64_t kGroupColumns = 64;      // output channels between two output transforms
constexpr int64_t kWeightBudget = 1 << 21; // transformed weights held at a time

// y (n, groups * m, oh, ow) = the correlation of the source with weights whose strides are given.
struct Correlation {
  TileRows source;
  int64_t m, oh, ow;
  const float *w, *bias;
  int64_t w_group, w_m, w_channel;
  bool flip;

  const GemmKernels<float>& gemm = gemm_kernels<float>();
  const WinogradKernels& kernels = winograd_kernels();
  int64_t c = source.channels, cp = round_up(c, kernels.lanes), nr = gemm.nr;
  int64_t panel_point = c * nr + 16, panel_size = kPoints * panel_point;
  Blocks blocks{source.rows(), source.across};
  std::atomic<bool> finite = true;

  bool run(const float* x, float* y) {
    const int64_t panels = ceil_div(m, nr);
    const int64_t round =
        std::clamp<int64_t>(kWeightBudget / panel_size / source.groups, 1, panels);
    for (int64_t p = 0; p < panels; p += round) {
      const int64_t end = std::min(panels, p + round), units = source.groups * blocks.count;
      const int64_t parts = std::clamp<int64_t>(kUnits / units, 1, end - p);
      const int64_t each = ceil_div(end - p, parts);
      const float* weights = transform_weights(p, end);
      parallel_for(units * parts, 1, [&](int64_t i, int64_t last) {
        for (; i < last; i++) {
          const int64_t p0 = p + i % parts * each, p1 = std::min(end, p0 + each);
          const int64_t group = i / parts / blocks.count, block = i / parts % blocks.count;
          if (p0 < p1)
            unit(group, block * blocks.each, p0, p1,
                 weights + (group * (end - p) + p0 - p) * panel_size, x, y);
        }
      });
    }
    return finite;
  }

  // The panels [p0, p1) of every group as [group][panel][point][channel][nr].
  const float* transform_weights(int64_t p0, int64_t p1) const {
    float* all = workspace<float>(kSlotWeights, source.groups * (p1 - p0) * panel_size);
    const int64_t vectors = nr / kernels.lanes, count = (p1 - p0) * vectors;
    parallel_for(source.groups * count, std::max<int64_t>(1, 512 / c), [&](int64_t i, int64_t end) {
      for (; i < end; i++) {
        const int64_t panel = i / vectors, lane = i % vectors * kernels.lanes;
        weight_vector(i / count, (p0 + panel % (p1 - p0)) * nr + lane,
                      all + panel * panel_size + lane);
      }
    });
    return all;
  }

  void weight_vector(int64_t group, int64_t m0, float* to) const {
    constexpr int64_t kTogether = 16;
    const int64_t lanes = kernels.lanes, valid = std::clamp<int64_t>(m - m0, 0, lanes);
    float* taps = workspace<float>(kSlotScratch, kTogether * 9 * lanes);
    if (valid < lanes) std::fill_n(taps, kTogether * 9 * lanes, 0.f);
    for (int64_t c0 = 0; c0 < c; c0 += kTogether) {
      const int64_t count = std::min(kTogether, c - c0);
      const float* from = w + group * w_group + m0 * w_m + c0 * w_channel;
      if (w_channel == 9)
        conv_kernels<float>().transpose(valid, 9 * count, from, w_m, taps, lanes);
      else
        for (int64_t i = 0; i < count; i++)
          conv_kernels<float>().transpose(valid, 9, from + i * w_channel, w_m, taps + 9 * i * lanes,
                                          lanes);
      kernels.weight(count, taps, flip, to + c0 * nr, {nr, panel_point});
    }
  }

  // The tile rows of one block times the panels [p0, p1), whose weights are given.
  void unit(int64_t group, int64_t r0, int64_t p0, int64_t p1, const float* weights, const float* x,
            float* y) {
    const int64_t r1 = std::min(source.rows(), r0 + blocks.each);
    const int64_t tiles = (r1 - r0) * source.across;
    const PointSteps in{cp, point_step(tiles * cp)};
    float* points = workspace<float>(kSlotSource, kPoints * in.point);
    for (int64_t c0 = 0; c0 < c; c0 += kernels.lanes)
      source.transform(x, group, c0, r0, r1, kernels.input, points + c0, in);
    const int64_t together = std::max<int64_t>(1, kGroupColumns / nr);
    const PointSteps out{std::min(together, p1 - p0) * nr,
                         point_step(tiles * std::min(together, p1 - p0) * nr)};
    float* products = workspace<float>(kSlotColumns, kPoints * out.point);
    for (int64_t p = p0; p < p1; p += together) {
      const int64_t some = std::min(together, p1 - p);
      for (int64_t point = 0; point < kPoints; point++)
        for (int64_t i = 0; i < some; i++)
          multiply(tiles, points + point * in.point,
                   weights + (p - p0 + i) * panel_size + point * panel_point,
                   products + point * out.point + i * nr, out.tile);
      for (int64_t m0 = p * nr; m0 < std::min(m, (p + some) * nr); m0 += kernels.lanes)
        write(group, m0, r0, r1, products + m0 - p * nr, out, y);
    }
  }

  void multiply(int64_t tiles, const float* points, const float* weights, float* out,
                int64_t ldc) const {
    const int64_t depth = ceil_div(c, ceil_div(c, kDepth));
    for (int64_t k = 0; k < c; k += depth)
      product(tiles, std::min(depth, c - k), points + k, cp, 1, weights + k * nr, out, ldc,
              k == 0 ? 0.f : 1.f);
  }

  // A vector of output channels of the tile rows [r0, r1).
  void write(int64_t group, int64_t m0, int64_t r0, int64_t r1, const float* products,
             PointSteps steps, float* y) {
    const int64_t lanes = kernels.lanes, valid = std::min(lanes, m - m0);
    const int64_t across = source.across, row = kAcross * across * lanes;
    float* scratch = workspace<float>(kSlotScratch, (kDownIn + kDown) * row);
    float* stage = scratch + kDownIn * row;
    float add[64] = {}, spoilt[64] = {};
    if (bias != nullptr) std::copy_n(bias + group * m + m0, valid, add);
    for (int64_t r = r0; r < r1; r++, products += across * steps.tile) {
      kernels.output(across, products, steps, add, scratch, stage, row, spoilt);
      const int64_t top = r % source.each * kDown, rows = std::min(kDown, oh - top);
      float* to = y + ((r / source.each * source.groups + group) * m + m0) * oh * ow + top * ow;
      const auto transpose = conv_kernels<float>().transpose;
      if (ow == kAcross * across)
        transpose(rows * ow, valid, stage, lanes, to, oh * ow);
      else
        for (int64_t i = 0; i < rows; i++)
          transpose(ow, valid, stage + i * row, lanes, to + i * ow, oh * ow);
    }
    for (int64_t i = 0; i < valid; i++)
      if (std::isnan(spoilt[i])) finite.store(false, std::memory_order_relaxed);
  }
};

} // namespace

const WinogradKernels& winograd_kernels() {
  static const WinogradKernels* const table = cpu_isa() == 2   ? avx512::winograd_table()
                                              : cpu_isa() == 1 ? avx2::winograd_table()
                                                               : base::winograd_table();
  return *table;
}

bool winograd_pays(WinogradUse use, const ConvShape& s) {
  const bool possible = s.kh == 3 && s.kw == 3 && s.stride_h == 1 && s.stride_w == 1 &&
                        s.dil_h == 1 && s.dil_w == 1 && s.pad_h <= 2 && s.pad_w <= 2 &&
                        s.oh == s.h + 2 * s.pad_h - 2 && s.ow == s.w + 2 * s.pad_w - 2;
  if (!possible || s.oh <= 0 || s.ow <= 0) return false;
  // In cycles of vectors of 8; the direct way and the products do 0.8 of what the processor can.
  const bool back = use == WinogradUse::kInput;
  const int64_t h = back ? s.h : s.oh, w = back ? s.w : s.ow;
  const auto c = double((back ? s.c_out : s.c_in) / s.groups);
  const auto m = double((back ? s.c_in : s.c_out) / s.groups);
  if (use != WinogradUse::kWeight && c < kFewestSummed) return false;
  const double tiles = double(s.n) * double(ceil_div(h, kDown) * ceil_div(w, kAcross));
  const double columns = double(round_up(int64_t(use == WinogradUse::kWeight ? c : m), 16));
  const double rows = use == WinogradUse::kWeight ? m : c;
  const double direct = double(s.n * h * w) * 9 * c * m / 12.8;
  const double points = tiles * (c + m) * 11 + c * m * 14;
  return tiles * kPoints * rows * columns / 12.8 + points < direct;
}

bool winograd_forward(const ConvShape& s, const float* x, const float* w, const float* bias,
                      float* y) {
  const int64_t c = s.c_in / s.groups, m = s.c_out / s.groups;
  Correlation job{.source = input_rows(s),
                  .m = m,
                  .oh = s.oh,
                  .ow = s.ow,
                  .w = w,
                  .bias = bias,
                  .w_group = m * c * 9,
                  .w_m = c * 9,
                  .w_channel = 9,
                  .flip = false};
  return job.run(x, y);
}

bool winograd_backward_input(const ConvShape& s, const float* dy, const float* w, float* dx) {
  const int64_t c = s.c_in / s.groups, m = s.c_out / s.groups;
  Correlation job{.source = {.n = s.n,
                             .groups = s.groups,
                             .channels = m,
                             .h = s.oh,
                             .w = s.ow,
                             .pad_h = 2 - s.pad_h,
                             .pad_w = 2 - s.pad_w,
                             .each = ceil_div(s.h, kDown),
                             .across = ceil_div(s.w, kAcross),
                             .border = 2},
                  .m = c,
                  .oh = s.h,
                  .ow = s.w,
                  .w = w,
                  .bias = nullptr,
                  .w_group = m * c * 9,
                  .w_m = 9,
                  .w_channel = c * 9,
                  .flip = true};
  return job.run(dy, dx);
}

} // namespace flambeau
