// Transposed copies of planes, by square blocks held in registers.
#pragma once
#include <cstdint>
#include <cstring>

#include "loops.h"

namespace flambeau {

// The dimension along which operand i is dense, or -1.
inline int dense_dimension(const StridedLoop& l, int i, int64_t size) {
  for (int d = 0; d < l.shape.size(); ++d)
    if (l.strides[i][d] == size) return d;
  return -1;
}

namespace detail {
template<class T>
struct Lanes { // one register of 16 bytes
  static constexpr int n = 16 / sizeof(T);
  typedef T V __attribute__((vector_size(16)));
};
// The low or the high halves of a and b, element by element in turns.
template<int half, class V, size_t... i>
[[gnu::always_inline]] inline V zip(V a, V b, std::index_sequence<i...>) {
  constexpr int n = sizeof...(i);
  return __builtin_shufflevector(a, b, int(i / 2 + half * n / 2 + i % 2 * n)...);
}
// One block of n x n elements: each round of zips takes a bit of the row to the column.
template<class T>
[[gnu::always_inline]] inline void transpose_block(char* dst, int64_t dst_row, const char* src,
                                                   int64_t src_row) {
  constexpr int n = Lanes<T>::n;
  using V = typename Lanes<T>::V;
  V a[n], b[n];
#pragma GCC unroll 16
  for (int i = 0; i < n; ++i) std::memcpy(&a[i], src + i * src_row, 16);
#pragma GCC unroll 4
  for (int round = 1; round < n; round *= 2) {
#pragma GCC unroll 8
    for (int i = 0; i < n / 2; ++i) {
      b[2 * i] = zip<0>(a[i], a[i + n / 2], std::make_index_sequence<n>());
      b[2 * i + 1] = zip<1>(a[i], a[i + n / 2], std::make_index_sequence<n>());
    }
#pragma GCC unroll 16
    for (int i = 0; i < n; ++i) a[i] = b[i];
  }
#pragma GCC unroll 16
  for (int i = 0; i < n; ++i) std::memcpy(dst + i * dst_row, &a[i], 16);
}
} // namespace detail

// dst[j][i] = src[i][j] for i < width and j < rows; rows lie `dst_row` and `src_row` bytes apart.
template<class T>
void transpose_tiles(T* dst, int64_t dst_row, const T* src, int64_t src_row, int64_t width,
                     int64_t rows) {
  char* d = reinterpret_cast<char*>(dst);
  const char* s = reinterpret_cast<const char*>(src);
  constexpr int64_t size = sizeof(T);
  auto one_by_one = [&](int64_t i0, int64_t i1, int64_t j0, int64_t j1) {
    for (int64_t i = i0; i < i1; ++i)
      for (int64_t j = j0; j < j1; ++j)
        *reinterpret_cast<T*>(d + j * dst_row + i * size) =
            *reinterpret_cast<const T*>(s + i * src_row + j * size);
  };
  if constexpr (size > 8) {
    one_by_one(0, width, 0, rows);
  } else {
    constexpr int64_t n = detail::Lanes<T>::n, line = 64 / size;
    const int64_t wide = width / n * n, high = rows / n * n;
    for (int64_t i0 = 0; i0 < wide; i0 += line) // a cache line of the target's rows at a time
      for (int64_t j = 0; j < high; j += n)
        for (int64_t i = i0; i < wide && i < i0 + line; i += n)
          detail::transpose_block<T>(d + j * dst_row + i * size, dst_row,
                                     s + i * src_row + j * size, src_row);
    one_by_one(wide, width, 0, high);
    one_by_one(0, width, high, rows);
  }
}

} // namespace flambeau
