// Rows of tiles of images as Winograd's transforms read them, and the products of their points.
#pragma once

#include <algorithm>
#include <cstdint>

#include "conv_kernels.h"
#include "conv_source.h"
#include "conv_winograd.h"
#include "gemm_kernels.h"

namespace flambeau {

constexpr int64_t kPoints = 24;
constexpr int64_t kDown = 2, kAcross = 4; // outputs of a tile
constexpr int64_t kDownIn = 4;            // rows of its inputs, and of its points
constexpr int64_t kTiles = 72;            // of one block, whose points then live in L2
constexpr int64_t kUnits = 8;             // chunks that are enough to keep threads busy

inline int64_t round_up(int64_t n, int64_t to) { return ceil_div(n, to) * to; }

// Elements from one point to the next. The 24 stores of a transform go to as many places at once:
// a multiple of 4 KiB between them would map all to one set of the first cache.
inline int64_t point_step(int64_t size) { return round_up(size, 256) + 16; }

// The rows of tiles of a stack of images (n, groups * channels, h, w), seen by one group, and how
// to bring some of them into the form that the transforms read.
struct TileRows {
  int64_t n, groups, channels, h, w, pad_h, pad_w; // the padding may exceed the image
  int64_t each, across;                            // rows of tiles in an image, tiles in a row
  int64_t border;                                  // input rows beyond the outputs: 2 or 0
  int64_t lanes = winograd_kernels().lanes;

  int64_t columns() const { return kAcross * across + border; }
  int64_t rows() const { return n * each; }

  // A vector of channels of the tile rows [r0, r1) to points.
  template<class Kernel>
  void transform(const float* x, int64_t group, int64_t channel, int64_t r0, int64_t r1,
                 Kernel kernel, float* points, PointSteps steps) const {
    const int64_t row = columns() * lanes, most = std::min(each, r1 - r0);
    float* scratch = workspace<float>(kSlotScratch, (kDown * most + border + kDownIn) * row);
    float* staged = scratch + kDownIn * row;
    for (int64_t r = r0; r < r1;) {
      const int64_t end = std::min(r1, (r / each + 1) * each); // of this image
      stage(x, group, channel, r, end - r, staged);
      for (int64_t i = 0; r < end; i++, r++, points += across * steps.tile)
        kernel(across, staged + i * kDown * row, row, scratch, points, steps);
    }
  }

 private:
  // The tile rows [first, first + count), all of one image, as [row][column][channel].
  void stage(const float* x, int64_t group, int64_t channel, int64_t first, int64_t count,
             float* to) const {
    const int64_t valid = std::min(lanes, channels - channel), row = columns() * lanes;
    const int64_t image = first / each * groups + group;
    const float* from = x + (image * channels + channel) * h * w;
    const int64_t rows = kDown * count + border, inside = std::min(w, columns() - pad_w);
    if (valid < lanes) std::fill_n(to, rows * row, 0.f);
    for (int64_t i = 0; i < rows; i++, to += row) {
      const int64_t y = first % each * kDown + i - pad_h;
      if (y < 0 || y >= h) {
        std::fill_n(to, row, 0.f);
        continue;
      }
      std::fill_n(to, pad_w * lanes, 0.f);
      conv_kernels<float>().transpose(valid, inside, from + y * w, h * w, to + pad_w * lanes,
                                      lanes);
      std::fill(to + (pad_w + inside) * lanes, to + row, 0.f);
    }
  }
};

// Rows of tiles in blocks of about kTiles.
struct Blocks {
  int64_t each, count; // rows of tiles
  Blocks(int64_t rows, int64_t across) {
    count = ceil_div(rows, std::max<int64_t>(1, kTiles / across));
    each = ceil_div(rows, count);
    count = ceil_div(rows, each);
  }
};

// C (rows x cols) += or = A B in tiles of at most mr rows, as even as can be.
inline void product(int64_t rows, int64_t k, const float* a, int64_t rs, int64_t cs, const float* b,
                    float* c, int64_t ldc, float beta) {
  const auto& gemm = gemm_kernels<float>();
  const int64_t panels = ceil_div(rows, gemm.mr);
  for (int64_t p = 0; p < panels; p++) {
    const int64_t i = rows * p / panels, end = rows * (p + 1) / panels;
    gemm.tile[1][end - i - 1](k, a + i * rs, rs, cs, b, gemm.nr, c + i * ldc, ldc, gemm.nr, 1.f,
                              beta);
  }
}

// The tiles of the outputs of shape `s`: of x around them, and of dy itself.
inline TileRows input_rows(const ConvShape& s) {
  return {.n = s.n,
          .groups = s.groups,
          .channels = s.c_in / s.groups,
          .h = s.h,
          .w = s.w,
          .pad_h = s.pad_h,
          .pad_w = s.pad_w,
          .each = ceil_div(s.oh, kDown),
          .across = ceil_div(s.ow, kAcross),
          .border = 2};
}

} // namespace flambeau
