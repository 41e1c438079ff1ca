// Winograd's convolution: 3x3 kernels of stride 1 with a third of the multiplications.
//
// A tile of 4x6 inputs gives 2x4 outputs, y = A^T [(G w G^T) * (B^T x B)] A, where * is by element
// and B, G and A evaluate polynomials: down at 0, +-1 and infinity, across at 0, +-sqrt(1/2),
// +-sqrt(2) and infinity. Summed over channels, the products are 24 matrix products. The gradient
// for w follows from the same matrices, transposed. Tiles of 4x4 outputs would save another
// quarter, but their rounding error is well above that of a plain sum.
#pragma once

#include <cstdint>

#include "conv.h"

namespace flambeau {

// Where the 24 points of a row of tiles lie, for one vector of channels: the next tile is `tile`
// elements on, the next point `point`.
struct PointSteps {
  int64_t tile, point;
};

// Kernels over vectors of channels: an image is [row][column][channel of a vector].
struct WinogradKernels {
  int lanes;
  // 4 rows of 4 * tiles + 2 columns, `row` apart, to points; of a gradient 2 rows of 4 * tiles.
  // `scratch` holds 4 such rows.
  void (*input)(int64_t tiles, const float* image, int64_t row, float* scratch, float* points,
                PointSteps steps);
  void (*gradient)(int64_t tiles, const float* image, int64_t row, float* scratch, float* points,
                   PointSteps steps);
  // Points to 2 rows of 4 * tiles columns, plus a vector; adds NaN to `spoilt` (a vector) if any
  // output is not finite.
  void (*output)(int64_t tiles, const float* points, PointSteps steps, const float* bias,
                 float* scratch, float* image, int64_t row, float* spoilt);
  // taps[3][3] of `count` vectors, one behind the other, to points, and back.
  void (*weight)(int64_t count, const float* taps, bool flip, float* points, PointSteps steps);
  void (*weight_back)(const float* points, int64_t step, float* taps);
};

const WinogradKernels& winograd_kernels();

enum class WinogradUse { kForward, kInput, kWeight };
// Whether it can be done this way, and costs less.
bool winograd_pays(WinogradUse use, const ConvShape& shape);

// They need kernels of 3x3, stride and dilation of 1, and padding of at most 2. False when some
// result is not finite: infinities and NaN then have spread over tiles, and the result is of no
// use.
bool winograd_forward(const ConvShape& shape, const float* x, const float* w, const float* bias,
                      float* y);
bool winograd_backward_input(const ConvShape& shape, const float* dy, const float* w, float* dx);
bool winograd_backward_weight(const ConvShape& shape, const float* x, const float* dy, float* dw);

namespace base {
const WinogradKernels* winograd_table();
}
namespace avx2 {
const WinogradKernels* winograd_table(); // null when the file was not compiled for it
}
namespace avx512 {
const WinogradKernels* winograd_table();
}

} // namespace flambeau
