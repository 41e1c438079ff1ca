// How the threads of a block share rows: packs, loads and the block's shape.
#pragma once
#include <algorithm>
#include <bit>

#include "launch.h"

namespace flambeau::cuda {

inline int64_t power_above(int64_t n) {
  return int64_t(std::bit_ceil(uint64_t(std::max<int64_t>(n, 1))));
}

// Elements of one load from rows of n of each of the (contiguous) tensors.
inline int pack_of(int64_t n, std::initializer_list<const Tensor*> tensors) {
  int widest = 1;
  uint64_t together = 0;
  for (const Tensor* t : tensors) {
    widest = std::max(widest, t->itemsize());
    together |= address(*t);
  }
  int pack = std::min(16 / widest, 8);
  while (pack > 1 && (n % pack || together % uint64_t(pack * widest))) pack /= 2;
  return pack;
}

// Rows of n loads; blockDim.x threads have a row. Short ones stay in registers: `loads` of each
// thread, at most `elements` elements of it; loads == 0: read again.
struct RowShape {
  int64_t x = 1, y = 1, loads = 1;
  RowShape(int64_t n, int pack, int64_t elements) {
    int64_t most = std::max<int64_t>(1, elements / pack);
    x = std::clamp(power_above(ceil_div(n, most)), std::min<int64_t>(power_above(n), 32),
                   int64_t(1024));
    loads = power_above(ceil_div(n, x));
    if (loads > most) loads = 0;
    y = std::max<int64_t>(1, 256 / x);
  }
  Grid grid(int64_t rows) const { return {ceil_div(rows, y)}; }
  Grid block() const { return {x, y}; }
  std::string definitions(int pack) const {
    return define("FB_PACK", int64_t(pack)) + (loads ? define("FB_LOADS", loads) : "");
  }
};

// Columns side by side: blockDim.x of them, each shared by blockDim.y threads.
inline Grid column_block(int64_t columns, int64_t n) {
  int64_t x = std::min<int64_t>(power_above(columns), 32);
  return {x, std::min<int64_t>(256 / x, std::max<int64_t>(power_above(ceil_div(n, 4)), 32 / x))};
}

} // namespace flambeau::cuda
