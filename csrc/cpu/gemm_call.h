// What the parts of the matrix product of float and double hand to each other.
#pragma once

#include <cstdint>

#include "copy_bytes.h"

namespace flambeau {

// C = alpha * op(A) op(B) + beta * D, as gemm() in gemm.h.
template<class T>
struct GemmCall {
  bool trans_a, trans_b;
  int64_t m, n, k;
  T alpha;
  const T* a;
  int64_t lda;
  const T* b;
  int64_t ldb;
  T beta;
  const T* d;
  int64_t ldd;
  T* c;
  int64_t ldc;

  // C = beta * D on a rectangle, so that kernels which add to C need not know D.
  void prefill(int64_t i0, int64_t i1, int64_t j0, int64_t cols) const {
    for (int64_t i = i0; i < i1; i++) {
      const T* from = d + i * ldd + j0;
      T* to = c + i * ldc + j0;
      if (beta == T(1))
        copy_bytes(reinterpret_cast<char*>(to), reinterpret_cast<const char*>(from),
                   cols * int64_t(sizeof(T)));
      else
        for (int64_t j = 0; j < cols; j++) to[j] = beta == T(0) ? T(0) : T(beta * from[j]);
    }
  }
};

// Products with so few rows or columns that they are sums over a stream; false: it is not one.
template<class T>
bool gemm_as_vectors(const GemmCall<T>& call);

// A batch of products with m, n, k <= kSmall on this thread; s* lead to the next one's operands.
template<class T>
void gemm_small(int64_t batch, const GemmCall<T>& call, int64_t sa, int64_t sb, int64_t sc);

inline int64_t ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }

} // namespace flambeau
