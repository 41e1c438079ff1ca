// Matrix products on raw row-major pointers.
#pragma once

#include <cstdint>

namespace flambeau {

// C (m x n) = alpha * op(A) * op(B) + beta * D, where op transposes when trans_* is set: A is then
// stored as k x m and B as n x k. ld* count elements between the stored rows. D is C unless given;
// ldd = 0 adds one row to all. With beta == 0, D is not read and C only written. The order of every
// sum depends on the shape alone, never on the thread count.
// Types: float, double, std::complex<float>, std::complex<double>, (u)int8 to int64; bf16 where
// bf16_product_pays (gemm_bf16.h) says so.
template<class T>
void gemm(bool trans_a, bool trans_b, int64_t m, int64_t n, int64_t k, T alpha, const T* a,
          int64_t lda, const T* b, int64_t ldb, T beta, T* c, int64_t ldc, const T* d = nullptr,
          int64_t ldd = 0);

// `batch` products; stride_* count elements between the operands of neighbours (0 repeats one).
template<class T>
void gemm_batched(int64_t batch, bool trans_a, bool trans_b, int64_t m, int64_t n, int64_t k,
                  T alpha, const T* a, int64_t lda, int64_t stride_a, const T* b, int64_t ldb,
                  int64_t stride_b, T beta, T* c, int64_t ldc, int64_t stride_c);

} // namespace flambeau
