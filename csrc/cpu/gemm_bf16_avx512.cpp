// Matrix product kernels for AVX-512 with bfloat16 instructions.
#include "gemm_bf16.h"

#if defined(__AVX512BF16__)
#define FLAMBEAU_ISA avx512_bf16
#include <algorithm>
#include <cstring>

#include "gemm_vec.h"

namespace flambeau::avx512_bf16 {

namespace {

constexpr int kWords = 16; // in a vector

FLAMBEAU_INLINE uint32_t word_at(const bf16* p) {
  uint32_t word;
  std::memcpy(&word, p, sizeof word);
  return word;
}
FLAMBEAU_INLINE void put_word(bf16* p, uint32_t word) { std::memcpy(p, &word, sizeof word); }

FLAMBEAU_INLINE __m512 add_products(__m512 sums, uint32_t a, __m512i b) {
  return _mm512_dpbf16_ps(sums, (__m512bh)_mm512_set1_epi32(static_cast<int>(a)), (__m512bh)b);
}

using Words = Vec<uint32_t>;
FLAMBEAU_INLINE Words words_of(__m256i halves) {
  return (Words)_mm512_maskz_cvtepu16_epi32(0xffff, halves);
}
FLAMBEAU_INLINE __m512 widen(__m256i halves) { return (__m512)(words_of(halves) << 16); }

// One row of a tile, which has one or two vectors of sums.
template<int NV>
FLAMBEAU_INLINE void finish_row(const Bf16Tile& t, int i, __m512 x, __m512 y) {
  const __m512 alpha = _mm512_set1_ps(t.alpha), beta = _mm512_set1_ps(t.beta);
  const auto mask = static_cast<__mmask32>((uint64_t(1) << t.cols) - 1);
  x *= alpha, y *= alpha;
  if (t.beta != 0) {
    const bf16* d = t.d + i * t.ldd;
    x += beta * widen(_mm256_maskz_loadu_epi16(static_cast<__mmask16>(mask), d));
    if constexpr (NV == 2)
      y += beta * widen(_mm256_maskz_loadu_epi16(static_cast<__mmask16>(mask >> 16), d + kWords));
  }
  const auto both = (__m512i)_mm512_cvtne2ps_pbh(y, x);
  if (t.cols == 2 * kWords)
    _mm512_storeu_si512(t.c + i * t.ldc, both);
  else
    _mm512_mask_storeu_epi16(t.c + i * t.ldc, mask, both);
}

template<int MR, int NV>
void tile(const Bf16Tile& t) {
#define FLAMBEAU_ZERO(i) __m512 x##i{}, y##i{};
  FLAMBEAU_ROWS(FLAMBEAU_ZERO)
  if (!t.first) {
#define FLAMBEAU_RESUME(i)                                                            \
  if constexpr (MR > i) {                                                             \
    x##i = _mm512_loadu_ps(t.sums + i * NV * kWords);                                 \
    if constexpr (NV == 2) y##i = _mm512_loadu_ps(t.sums + i * NV * kWords + kWords); \
  }
    FLAMBEAU_ROWS(FLAMBEAU_RESUME)
  }
  const bf16 *a = t.a, *b = t.b;
  const int64_t rs = t.rs, cs = t.cs;
#define FLAMBEAU_ADD(i)                                         \
  if constexpr (MR > i) {                                       \
    const uint32_t word = WORD(a + i * rs);                     \
    x##i = add_products(x##i, word, b0);                        \
    if constexpr (NV == 2) y##i = add_products(y##i, word, b1); \
  }
#define FLAMBEAU_STEP                                                   \
  const __m512i b0 = _mm512_loadu_si512(b);                             \
  const __m512i b1 = NV == 2 ? _mm512_loadu_si512(b + 2 * kWords) : b0; \
  FLAMBEAU_ROWS(FLAMBEAU_ADD)
#define WORD(p) word_at(p)
  for (int64_t pairs = t.k / 2; pairs > 0; pairs--, a += cs, b += 2 * kBf16Columns) {
    FLAMBEAU_STEP
  }
#undef WORD
#define WORD(p) (p)->bits
  if (t.k % 2 != 0) { // a row of A that was not packed ends here
    FLAMBEAU_STEP
  }
  if (t.final) {
#define FLAMBEAU_OUT(i) \
  if constexpr (MR > i) finish_row<NV>(t, i, x##i, y##i);
    FLAMBEAU_ROWS(FLAMBEAU_OUT)
    return;
  }
#define FLAMBEAU_KEEP(i)                                                              \
  if constexpr (MR > i) {                                                             \
    _mm512_storeu_ps(t.sums + i * NV * kWords, x##i);                                 \
    if constexpr (NV == 2) _mm512_storeu_ps(t.sums + i * NV * kWords + kWords, y##i); \
  }
  FLAMBEAU_ROWS(FLAMBEAU_KEEP)
}

void pack_rows(int64_t k, int cols, int width, const bf16* src, int64_t ld, bf16* dst) {
  for (int64_t p = 0; p < k; p += 2, src += 2 * ld, dst += 2 * width)
    for (int j = 0; j < cols; j += kWords) {
      const auto mask = static_cast<__mmask16>((1u << std::min(cols - j, kWords)) - 1);
      const __m256i low = _mm256_maskz_loadu_epi16(mask, src + j);
      const __m256i high = _mm256_maskz_loadu_epi16(p + 1 < k ? mask : 0, src + ld + j);
      _mm512_mask_storeu_epi32(dst + 2 * j, mask, (__m512i)(words_of(low) | words_of(high) << 16));
    }
}

void pack_transposed(int64_t k, int cols, int width, const bf16* src, int64_t ld, bf16* dst) {
  constexpr int S = 8; // words and rows of a square
  const int64_t words = k / 2;
  const bool squares = cols >= S && words >= S;
  if (squares) // whole lines of src at a time; the last squares overlap those before
    for (int64_t w0 = 0; w0 < words; w0 += 2 * S)
      for (int j0 = 0; j0 < cols; j0 += S)
        for (int64_t w1 = w0; w1 < std::min(words, w0 + 2 * S); w1 += S) {
          const int64_t w = std::min(w1, words - S);
          const int j = std::min(j0, cols - S);
          const bf16* from = src + j * ld + 2 * w;
          transpose_square([&](int i) { return reinterpret_cast<const float*>(from + i * ld); },
                           reinterpret_cast<float*>(dst + 2 * (w * width + j)), width);
        }
  for (int j = 0; j < cols; j++, src += ld) {
    for (int64_t w = squares ? words : 0; w < words; w++)
      put_word(dst + 2 * (w * width + j), word_at(src + 2 * w));
    if (k % 2 != 0) put_word(dst + 2 * (words * width + j), src[k - 1].bits);
  }
}

template<int... I>
const Bf16Kernels* make_kernels() {
  static constexpr Bf16Kernels kernels = {
      {{tile<I, 1>...}, {tile<I, 2>...}}, pack_rows, pack_transposed};
  return &kernels;
}

} // namespace

const Bf16Kernels* bf16_kernels() {
  if (!__builtin_cpu_supports("avx512bf16")) return nullptr;
  return make_kernels<1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14>();
}

} // namespace flambeau::avx512_bf16
#else
namespace flambeau::avx512_bf16 {
const Bf16Kernels* bf16_kernels() { return nullptr; }
} // namespace flambeau::avx512_bf16
#endif
