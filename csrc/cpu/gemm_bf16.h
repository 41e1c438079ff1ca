// The inner kernels of the matrix product of bfloat16, for processors that multiply pairs of them.
// Sums are float32. The instruction takes what is below the normal numbers (1.2e-38) for zero.
#pragma once

#include <cstdint>

#include "../core/dtype.h"

namespace flambeau {

// Two neighbours along k make a word. A panel holds `width` rows of A, or columns of B: the word of
// p and p + 1 and of row or column j is word p / 2 * width + j; beyond an odd k is zero.
struct Bf16Tile {
  int64_t k;
  const bf16* a; // the word of row i and step p / 2 is at a + i * rs + p / 2 * cs
  int64_t rs, cs;
  const bf16* b;     // a panel of kBf16Columns
  float* sums;       // of the steps of k before and for those after, where these are not all
  bool first, final; // whether there are none before, none after
  float alpha, beta; // c = alpha * sum + beta * d, rounded once
  const bf16* d;
  int64_t ldd;
  bf16* c;
  int64_t ldc;
  int cols;
};

constexpr int kBf16Columns = 32; // of a tile
constexpr int kBf16Rows = 14;    // the most of a tile

struct Bf16Kernels {
  void (*tile[2][kBf16Rows])(const Bf16Tile&); // [cols > 16][rows - 1]
  // A panel of `cols` columns of src (k x cols), or of `cols` rows of src (cols x k). What a panel
  // holds beyond `cols` is left as it is: no tile stores what comes of it.
  void (*pack_rows)(int64_t k, int cols, int width, const bf16* src, int64_t ld, bf16* dst);
  void (*pack_transposed)(int64_t k, int cols, int width, const bf16* src, int64_t ld, bf16* dst);
};

namespace avx512_bf16 {
const Bf16Kernels* bf16_kernels(); // null where the compiler or the processor lacks the instruction
}

// Whether gemm<bf16> can be called on this processor, and pays: vectors and tiny matrices are
// multiplied faster as float32.
bool bf16_product_pays(int64_t m, int64_t n, int64_t k);

} // namespace flambeau
