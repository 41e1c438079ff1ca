// Philox: the public fillers, their choice of instruction set and their split over threads.
#define FB_KERNEL_SPACE philox_base
#include "philox_kernels.inc"

#include <algorithm>
#include <atomic>

#include "parallel.h"
#include "philox.h"
#include "stream.h"

namespace flambeau {

void philox_block(const uint32_t key[2], const uint32_t counter[4], uint32_t out[4]) {
  for (int i = 0; i < 4; ++i) out[i] = counter[i];
  philox::ten_rounds(out[0], out[1], out[2], out[3], {key[0], key[1]});
}
void philox_block(uint64_t seed, uint64_t counter, uint32_t out[4]) {
  const uint32_t key[2] = {uint32_t(seed), uint32_t(seed >> 32)};
  const uint32_t at[4] = {uint32_t(counter), uint32_t(counter >> 32), 0, 0};
  philox_block(key, at, out);
}

namespace random {
namespace {

constexpr int64_t kGrain = 16384; // elements a chunk: some 10 us, and a multiple of every tile
constexpr int64_t kBlock = 1024;  // elements that are streamed at a time: a tile's words or more

const PhiloxTable& loops() {
  static const PhiloxTable& chosen = []() -> const PhiloxTable& {
#if defined(__x86_64__)
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
        __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl"))
      return philox_avx512::table;
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) return philox_avx2::table;
#endif
    return philox_base::table;
  }();
  return chosen;
}

template<class T>
void fill(PhiloxFill f, const Stream& s, T* out, int64_t n, int words = words_of<T>) {
  const bool far = n * int64_t(sizeof(T)) > cache_bytes();
  parallel_for(n, kGrain, [&](int64_t begin, int64_t end) {
    if (!far) return f(s, out, begin, end);
    alignas(64) T made[kBlock];
    for (int64_t i = begin; i < end; i += kBlock) {
      Stream from = s;
      from.offset += philox_ticks(i, words);
      const int64_t m = std::min(kBlock, end - i);
      f(from, made, 0, m);
      stream_bytes(reinterpret_cast<char*>(out + i), reinterpret_cast<char*>(made),
                   m * int64_t(sizeof(T)));
    }
  });
}
void drop(PhiloxDropout f, const Stream& s, const void* x, void* y, uint8_t* mask, int64_t n) {
  parallel_for(n, kGrain, [&](int64_t begin, int64_t end) { f(s, x, y, mask, begin, end); });
}
bool compare(PhiloxBernoulli f, const Stream& s, const void* p, void* out, int64_t n) {
  std::atomic<bool> valid = true;
  parallel_for(n, kGrain, [&](int64_t begin, int64_t end) {
    if (!f(s, p, out, begin, end)) valid = false;
  });
  return valid;
}

} // namespace

void fill_random_bits(uint32_t* out, int64_t n, uint64_t seed, uint64_t offset) {
  fill(loops().bits32, {seed, offset}, out, n);
}
void fill_random_bits(uint64_t* out, int64_t n, uint64_t seed, uint64_t offset) {
  fill(loops().bits64, {seed, offset}, out, n);
}
void fill_uniform(float* out, int64_t n, double lo, double hi, uint64_t seed, uint64_t offset) {
  fill(loops().uniform32, {seed, offset, lo, hi}, out, n);
}
void fill_uniform(double* out, int64_t n, double lo, double hi, uint64_t seed, uint64_t offset) {
  fill(loops().uniform64, {seed, offset, lo, hi}, out, n);
}
void fill_normal(float* out, int64_t n, double mean, double std, uint64_t seed, uint64_t offset) {
  fill(loops().normal32, {seed, offset, mean, std}, out, n);
}
void fill_normal(double* out, int64_t n, double mean, double std, uint64_t seed, uint64_t offset) {
  fill(loops().normal64, {seed, offset, mean, std}, out, n);
}
void fill_exponential(float* out, int64_t n, double rate, uint64_t seed, uint64_t offset) {
  fill(loops().exponential32, {seed, offset, rate}, out, n);
}
void fill_exponential(double* out, int64_t n, double rate, uint64_t seed, uint64_t offset) {
  fill(loops().exponential64, {seed, offset, rate}, out, n);
}
void fill_bernoulli(uint8_t* out, int64_t n, double p, uint64_t seed, uint64_t offset) {
  fill(loops().bernoulli, {seed, offset, p}, out, n);
}
bool fill_bernoulli(float* out, const float* p, int64_t n, uint64_t seed, uint64_t offset) {
  return compare(loops().bernoulli_by32, {seed, offset}, p, out, n);
}
bool fill_bernoulli(double* out, const double* p, int64_t n, uint64_t seed, uint64_t offset) {
  return compare(loops().bernoulli_by64, {seed, offset}, p, out, n);
}
void fill_randint(int64_t* out, int64_t n, int64_t lo, uint64_t range, uint64_t seed,
                  uint64_t offset) {
  const PhiloxFill f = randint_words(range) == 1 ? loops().randint32 : loops().randint64;
  fill(f, {seed, offset, 0, 0, lo, range}, out, n, randint_words(range));
}
void dropout(const float* x, float* y, uint8_t* mask, int64_t n, double p, double scale,
             uint64_t seed, uint64_t offset) {
  drop(loops().dropout32, {seed, offset, p, scale}, x, y, mask, n);
}
void dropout(const double* x, double* y, uint8_t* mask, int64_t n, double p, double scale,
             uint64_t seed, uint64_t offset) {
  drop(loops().dropout64, {seed, offset, p, scale}, x, y, mask, n);
}

} // namespace random
} // namespace flambeau
