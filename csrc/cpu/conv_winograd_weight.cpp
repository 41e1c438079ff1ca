// The gradient for the weights of a 3x3 convolution, by Winograd's transforms.
#include <algorithm>
#include <atomic>
#include <cmath>

#include "conv_winograd_tiles.h"
#include "parallel.h"

namespace flambeau {

namespace {

constexpr int64_t kPartChannels = 64; // of a part of the sums, which stays in L2 or near it

// dw[g] = G^T [sum over tiles of (A dy A^T) * (B^T x B)] G, where the sums are 24 matrix products
// over tiles. Chunks are some output by some input channels of a group over some images.
struct WeightGradient {
  const ConvShape& s;
  TileRows input, gradient;
  int64_t m, c;

  const WinogradKernels& kernels = winograd_kernels();
  int64_t lanes = kernels.lanes, nr = gemm_kernels<float>().nr;
  int64_t parts_m = ceil_div(m, kPartChannels), parts_c = ceil_div(c, kPartChannels);
  int64_t each_m = round_up(ceil_div(m, parts_m), lanes);
  int64_t each_c = round_up(ceil_div(c, parts_c), nr);
  int64_t image_parts, rows_each;

  void split() {
    parts_m = ceil_div(m, each_m), parts_c = ceil_div(c, each_c);
    const int64_t units = s.groups * parts_m * parts_c;
    image_parts = std::clamp<int64_t>(ceil_div(kUnits, units), 1, input.rows());
    const double work = double(input.rows() * input.across) * kPoints *
                        double(std::min(m, each_m)) * double(std::min(c, each_c));
    image_parts = std::min<int64_t>(image_parts, 1 + int64_t(work / (1 << 18)));
    rows_each = ceil_div(input.rows(), image_parts);
    image_parts = ceil_div(input.rows(), rows_each);
  }

  bool run(const float* x, const float* dy, float* dw) {
    split();
    const int64_t size = s.c_out * c * 9, parts = parts_m * parts_c, units = s.groups * parts;
    float* out = image_parts == 1 ? dw : workspace<float>(kSlotPartial, image_parts * size);
    parallel_for(image_parts * units, 1, [&](int64_t i, int64_t end) {
      for (; i < end; i++) {
        const int64_t group = i % units / parts, part = i % parts, images = i / units;
        unit(group, part / parts_c * each_m, part % parts_c * each_c, images * rows_each, x, dy,
             out + images * size + group * m * c * 9);
      }
    });
    std::atomic<bool> finite = true;
    parallel_for(size, 1 << 14, [&](int64_t i0, int64_t i1) {
      if (image_parts > 1) std::copy(out + i0, out + i1, dw + i0);
      for (int64_t p = 1; p < image_parts; p++)
        for (int64_t i = i0; i < i1; i++) dw[i] += out[p * size + i];
      bool all = true;
      for (int64_t i = i0; i < i1; i++) all &= std::isfinite(dw[i]);
      if (!all) finite.store(false, std::memory_order_relaxed);
    });
    return finite;
  }

  // The output channels [m0, m0 + each_m) by the input channels [c0, c0 + each_c), over the tile
  // rows [r0, r0 + rows_each).
  void unit(int64_t group, int64_t m0, int64_t c0, int64_t r0, const float* x, const float* dy,
            float* out) const {
    const int64_t ms = std::min(each_m, m - m0), cs = std::min(each_c, c - c0);
    const int64_t panels = ceil_div(cs, nr), r1 = std::min(input.rows(), r0 + rows_each);
    const Blocks blocks(r1 - r0, input.across);
    const int64_t tiles = blocks.each * input.across, width = round_up(ms, lanes);
    // Neither side's rows lie a power of two apart.
    const PointSteps a{width % 64 == 0 ? width + 16 : width, 0};
    const PointSteps at{a.tile, point_step(tiles * a.tile)};
    const PointSteps bt{nr, point_step(tiles * panels * nr)};
    const PointSteps sum{panels * nr, point_step(ms * panels * nr)};
    float* left = workspace<float>(kSlotColumns, kPoints * at.point);
    float* right = workspace<float>(kSlotSource, kPoints * bt.point);
    float* sums = workspace<float>(kSlotWeights, kPoints * sum.point);
    for (int64_t r = r0; r < r1; r += blocks.each) {
      const int64_t end = std::min(r1, r + blocks.each), count = (end - r) * input.across;
      for (int64_t i = 0; i < ms; i += lanes)
        gradient.transform(dy, group, m0 + i, r, end, kernels.gradient, left + i, at);
      for (int64_t i = 0; i < cs; i += lanes)
        input.transform(x, group, c0 + i, r, end, kernels.input,
                        right + i / nr * tiles * nr + i % nr, bt);
      for (int64_t point = 0; point < kPoints; point++)
        for (int64_t p = 0; p < panels; p++)
          product(ms, count, left + point * at.point, 1, at.tile,
                  right + point * bt.point + p * tiles * nr, sums + point * sum.point + p * nr,
                  sum.tile, r == r0 ? 0.f : 1.f);
    }
    for (int64_t i = 0; i < cs; i += lanes)
      write(ms, std::min(lanes, cs - i), sums + i, sum, out + (m0 * c + c0 + i) * 9);
  }

  void write(int64_t ms, int64_t valid, const float* sums, PointSteps steps, float* out) const {
    float* taps = workspace<float>(kSlotScratch, 9 * lanes);
    for (int64_t i = 0; i < ms; i++, out += c * 9) {
      kernels.weight_back(sums + i * steps.tile, steps.point, taps);
      conv_kernels<float>().transpose(9, valid, taps, lanes, out, 9);
    }
  }
};

} // namespace

bool winograd_backward_weight(const ConvShape& s, const float* x, const float* dy, float* dw) {
  TileRows gradient = input_rows(s);
  gradient.channels = s.c_out / s.groups, gradient.h = s.oh, gradient.w = s.ow;
  gradient.pad_h = gradient.pad_w = gradient.border = 0;
  WeightGradient job{.s = s,
                     .input = input_rows(s),
                     .gradient = gradient,
                     .m = s.c_out / s.groups,
                     .c = s.c_in / s.groups,
                     .image_parts = 1,
                     .rows_each = 0};
  return job.run(x, dy, dw);
}

} // namespace flambeau
