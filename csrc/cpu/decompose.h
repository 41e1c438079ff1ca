// Factorisations of one row-major matrix of floats or doubles, in place.
#pragma once

#include <cstdint>

namespace flambeau {

// L of A = L L' to the lower triangle, which alone is read, and zeros above. Returns the order of
// the first leading minor that is not positive, whose L is NaN; 0: there is none.
template<class T>
int64_t cholesky(int64_t n, T* a);

// Householder's reflections I - tau v v' make the first n of `cols` columns upper triangular; v
// lies below the diagonal, its leading 1 is implied. m >= n.
template<class T>
void householder(int64_t m, int64_t n, int64_t cols, T* a, T* tau);
// The first `cols` columns of their product, from a matrix whose rows are lda apart.
template<class T>
void householder_product(int64_t m, int64_t n, int64_t cols, const T* a, int64_t lda, const T* tau,
                         T* q);

// x = R^-1 x for the upper triangle R; x has `cols` columns.
template<class T>
void solve_upper(int64_t n, int64_t cols, const T* r, int64_t ldr, T* x, int64_t ldx);

// Ascending eigenvalues of a symmetric matrix, whose lower triangle alone is read, and, unless
// null, its eigenvectors: columns. `a` is overwritten. False: the iteration did not converge.
template<class T>
bool symmetric_eigen(int64_t n, T* a, T* values, T* vectors);

} // namespace flambeau
