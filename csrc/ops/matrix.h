// How the last two dimensions of a tensor lie in memory, for kernels of matrix products.
#pragma once
#include <algorithm>

#include "../core/tensor.h"

namespace flambeau {

struct Matrix { // rows at distance ld, or, transposed, columns
  bool trans = false;
  int64_t ld = 0;
};
// False: neither, so that a copy must be made first.
inline bool as_matrix(const Tensor& t, Matrix& m) {
  int n = t.dim();
  int64_t rows = t.shape()[n - 2], cols = t.shape()[n - 1];
  int64_t rs = t.strides()[n - 2], cs = t.strides()[n - 1];
  if ((cs == 1 || cols <= 1) && (rs >= cols || rows <= 1)) {
    m = {false, std::max(rows <= 1 ? cols : rs, int64_t(1))};
    return true;
  }
  if ((rs == 1 || rows <= 1) && (cs >= rows || cols <= 1)) {
    m = {true, std::max(cols <= 1 ? rows : cs, int64_t(1))};
    return true;
  }
  return false;
}

} // namespace flambeau
