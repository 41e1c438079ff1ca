// The image that a convolution slides over: padded, and split by column phase when it strides.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstring>

#include "conv_kernels.h"
#include "gemm_kernels.h"

namespace flambeau {

constexpr int64_t kConvSlack = 64; // elements that vector kernels may touch beyond a buffer's end

enum ConvSlot {
  kSlotSource = 3,
  kSlotColumns = 4,
  kSlotScratch = 5,
  kSlotWeights = 6,
  kSlotPartial = 7
};

inline int64_t ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }

// Rows of some channels of one image, laid out so that the pixels of a row that one tap meets are
// neighbours in memory: [channel][row][column % col_mul][column / col_mul].
struct ConvSource {
  int64_t channels, h, w;   // of the stored image
  int64_t top, left;        // padding; negative crops
  int64_t rows, width;      // padded rows held at a time, padded columns
  int64_t row_mul, col_mul; // how far one output row or column moves
  int64_t phase_width, row_step, channel_step;
  bool in_place; // the stored image will do as it is

  void plan(int64_t padded_rows_of_all) {
    in_place = top == 0 && left == 0 && col_mul == 1 && width <= w && padded_rows_of_all <= h;
    phase_width = in_place ? w : ceil_div(width, col_mul);
    row_step = phase_width * col_mul;
    channel_step = in_place ? h * w : rows * row_step;
  }

  int64_t offset(int64_t channel, int64_t row, int64_t column) const {
    return channel * channel_step + row * row_step + column % col_mul * phase_width +
           column / col_mul;
  }

  // The prepared rows from padded row `first` on. `last` marks the end of the stored tensor,
  // beyond which nothing may be read. `bordered` holds the row for which the buffer's borders are
  // zero already; start with -1 and keep it while no other job can run on this thread.
  template<class T>
  const T* prepare(const T* image, int64_t first, bool last, int64_t& bordered) const {
    if (in_place && !last) return image + first * w;
    if (in_place) {
      const int64_t count = channels * h * w - first * w;
      T* copy = workspace<T>(kSlotSource, count + kConvSlack);
      std::memcpy(copy, image + first * w, count * sizeof(T));
      std::fill(copy + count, copy + count + kConvSlack, T(0));
      return copy;
    }
    const int64_t total = channels * channel_step;
    T* buffer = workspace<T>(kSlotSource, total + kConvSlack);
    if (bordered != first)
      std::memset(static_cast<void*>(buffer), 0, (total + kConvSlack) * sizeof(T));
    bordered = first;
    fill(image, first, buffer);
    return buffer;
  }

  // Copies the rows from padded row `first` on into a buffer whose borders are zero.
  template<class T>
  void fill(const T* image, int64_t first, T* buffer) const {
    const int64_t r0 = std::max<int64_t>(0, top - first), r1 = std::min(rows, h + top - first);
    const int64_t begin = std::max<int64_t>(left, 0), end = std::min(width, w + left);
    if (begin >= end || r0 >= r1) return;
    const auto copy = conv_kernels<T>().copy_rows;
    for (int64_t c = 0; c < channels; c++) {
      const T* from = image + (c * h + first + r0 - top) * w;
      T* to = buffer + c * channel_step + r0 * row_step;
      if (col_mul == 1)
        copy(r1 - r0, end - begin, from + begin - left, w, to + begin, row_step);
      else
        for (int64_t r = r0; r < r1; r++, from += w, to += row_step) copy_row(from, to, begin, end);
    }
  }

 private:
  template<class T>
  void copy_row(const T* from, T* to, int64_t begin, int64_t end) const {
    for (int64_t phase = 0; phase < col_mul; phase++) {
      const int64_t q0 = begin <= phase ? 0 : ceil_div(begin - phase, col_mul);
      T* out = to + phase * phase_width;
      if (col_mul == 2) { // a constant step makes vectors
        const T* first = from + phase - left;
        for (int64_t q = q0; q < ceil_div(end - phase, 2); q++) out[q] = first[2 * q];
        continue;
      }
      for (int64_t q = q0, column = q0 * col_mul + phase; column < end; q++, column += col_mul)
        out[q] = from[column - left];
    }
  }
};

} // namespace flambeau
