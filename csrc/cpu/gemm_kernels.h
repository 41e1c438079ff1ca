// The table of inner kernels that gemm and conv call, one per instruction set.
#pragma once

#include <cstdint>

namespace flambeau {

constexpr int kSmall = 16;

template<class T>
struct GemmKernels {
  int lanes;        // elements in one vector
  int nr;           // columns of a tile: two vectors
  int mr;           // the most rows of a tile
  bool direct_edge; // a tile narrower than nr never reads B beyond its own columns

  // C[rows x cols] = alpha * sum_p a[i * rs + p * cs] * b[p * bs + j] + beta * C; cols <= nr.
  // Unless direct_edge, whole vectors of b are read.
  using Tile = void (*)(int64_t k, const T* a, int64_t rs, int64_t cs, const T* b, int64_t bs, T* c,
                        int64_t ldc, int cols, T alpha, T beta);
  const Tile* tile[2]; // [vectors - 1][rows - 1]

  // dst[p * width + j] = src[j * ld + p] for j < cols, zero for cols <= j < width.
  void (*pack_transposed)(int64_t k, int cols, int width, const T* src, int64_t ld, T* dst);
  // `batch` products of matrices with m, n, k <= kSmall; A's element (i, p) is a[i * rs + p * cs]
  // and B's (p, j) is b[p * bs + j * ks]. s* lead to the operands of the next product.
  void (*small)(int64_t batch, int m, int n, int k, T alpha, const T* a, int64_t rs, int64_t cs,
                int64_t sa, const T* b, int64_t bs, int64_t ks, int64_t sb, T beta, T* c,
                int64_t ldc, int64_t sc);

  // Columns to panels of `width`, `stride` apart: dst[j / width * stride + p * width + j % width] =
  // src[p * ld + j] for j < cols; zero fills the last panel up.
  void (*pack_rows)(int64_t k, int64_t cols, int width, const T* src, int64_t ld, T* dst,
                    int64_t stride);
  // y[i * step + f * step_few] = alpha * dot(a + i * lda, x + f * ldx) + beta * y[...], i < rows,
  // f < few.
  void (*dots)(int64_t rows, int64_t few, int64_t k, T alpha, const T* a, int64_t lda, const T* x,
               int64_t ldx, T beta, T* y, int64_t step, int64_t step_few);
  // y[j] = alpha * sum_p x[p * inc] * b[p * ldb + j] + beta * y[j], j < n.
  void (*combine)(int64_t n, int64_t k, T alpha, const T* b, int64_t ldb, const T* x, int64_t inc,
                  T beta, T* y);
  // a[i * lda + j] += x[i] * y[j], i < m, j < n.
  void (*rank_one)(int64_t m, int64_t n, const T* x, const T* y, T* a, int64_t lda);
  // (x, y) = (c * x - s * y, s * x + c * y) for n elements.
  void (*rotate)(int64_t n, T c, T s, T* x, T* y);
};

// sums[i * columns + j] = sum_p a[p * kIntegerRows + i] * b[p * columns + j], wrapping around.
constexpr int kIntegerRows = 4, kIntegerColumns = 64; // the most columns of any
template<class U>
struct IntegerKernel {
  int columns;
  void (*tile)(int64_t k, const U* a, const U* b, U* sums);
};
template<class U> // uint16_t, uint32_t or uint64_t
const IntegerKernel<U>& integer_kernel();

// The best table for this CPU. FLAMBEAU_CPU_ISA=base|avx2|avx512 asks for a lesser one (tests).
template<class T>
const GemmKernels<T>& gemm_kernels();

// 0 portable, 1 AVX2+FMA, 2 AVX-512: what gemm_kernels and conv_kernels chose.
int cpu_isa();

namespace base {
template<class U>
const IntegerKernel<U>* integer_table();
template<class T>
const GemmKernels<T>* gemm_table();
} // namespace base
namespace avx2 {
template<class U>
const IntegerKernel<U>* integer_table();
template<class T>
const GemmKernels<T>* gemm_table(); // null when the file was not compiled for it
} // namespace avx2
namespace avx512 {
template<class U>
const IntegerKernel<U>* integer_table();
template<class T>
const GemmKernels<T>* gemm_table();
} // namespace avx512

// A 64-byte aligned buffer of this thread that only grows; one per slot. Its content is whatever
// was there last.
void* thread_workspace(int slot, int64_t bytes);

template<class T>
T* workspace(int slot, int64_t count) {
  return static_cast<T*>(thread_workspace(slot, count * static_cast<int64_t>(sizeof(T))));
}

} // namespace flambeau
