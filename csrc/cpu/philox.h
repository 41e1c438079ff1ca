// Philox 4x32-10 random numbers (Salmon, Moraes, Dror and Shaw 2011): a counter in, four words out.
//
// Element i depends on (seed, offset, i) alone: never on the thread count, the instruction set or
// on how a tensor is cut up. Each filler reads `words` 32-bit words an element and so uses
// philox_ticks(n, words) counter values; the caller adds them to its offset afterwards.
#pragma once
#include <cstdint>

namespace flambeau {

// The block of one counter value: key = seed, counter = (counter, 0), low word first.
void philox_block(uint64_t seed, uint64_t counter, uint32_t out[4]);
// The same with the whole 128-bit counter and the key as words.
void philox_block(const uint32_t key[2], const uint32_t counter[4], uint32_t out[4]);

// Counter values that n elements of `words` words use, rounded up.
constexpr uint64_t philox_ticks(int64_t n, int words = 1) {
  return (uint64_t(n) * uint64_t(words) + 3) / 4;
}

namespace random {

// Words an element: 1 for float, uint32_t, masks and dropout; 2 for double and uint64_t.
template<class T>
inline constexpr int words_of = sizeof(T) == 8 ? 2 : 1;
// fill_randint: 1 word up to a range of 2^16, else 2, so that the bias stays below 2^-16.
constexpr int randint_words(uint64_t range) { return range - 1 < (uint64_t(1) << 16) ? 1 : 2; }

// Words in order: out[i] is word i % 4 of block offset + i / 4 (uint64_t: low word first).
void fill_random_bits(uint32_t* out, int64_t n, uint64_t seed, uint64_t offset);
void fill_random_bits(uint64_t* out, int64_t n, uint64_t seed, uint64_t offset);

// Uniform on [lo, hi) in steps of 2^-24 (float) or 2^-53 (double) of the range.
void fill_uniform(float* out, int64_t n, double lo, double hi, uint64_t seed, uint64_t offset);
void fill_uniform(double* out, int64_t n, double lo, double hi, uint64_t seed, uint64_t offset);

// Normal by Box and Muller (1958), two elements from one pair of uniforms; n may be odd.
void fill_normal(float* out, int64_t n, double mean, double std, uint64_t seed, uint64_t offset);
void fill_normal(double* out, int64_t n, double mean, double std, uint64_t seed, uint64_t offset);

// Exponential: -log(u) / rate with u in (0, 1).
void fill_exponential(float* out, int64_t n, double rate, uint64_t seed, uint64_t offset);
void fill_exponential(double* out, int64_t n, double rate, uint64_t seed, uint64_t offset);

// 1 with probability p, else 0.
void fill_bernoulli(uint8_t* out, int64_t n, double p, uint64_t seed, uint64_t offset);

// 1 with probability p[i], else 0; out may be p. Returns whether every p[i] lies in [0, 1].
bool fill_bernoulli(float* out, const float* p, int64_t n, uint64_t seed, uint64_t offset);
bool fill_bernoulli(double* out, const double* p, int64_t n, uint64_t seed, uint64_t offset);

// lo + an integer below `range` (0 means 2^64), by multiply and shift (Lemire 2019).
void fill_randint(int64_t* out, int64_t n, int64_t lo, uint64_t range, uint64_t seed,
                  uint64_t offset);

// mask = 0 with probability p, else 1; y = mask ? x * scale : 0. y may be x.
void dropout(const float* x, float* y, uint8_t* mask, int64_t n, double p, double scale,
             uint64_t seed, uint64_t offset);
void dropout(const double* x, double* y, uint8_t* mask, int64_t n, double p, double scale,
             uint64_t seed, uint64_t offset);

} // namespace random
} // namespace flambeau
