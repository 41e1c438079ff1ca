// Writes past the caches, for calls whose operands no cache holds: the lines of the target are then
// not read before they are written.
#pragma once
#include <algorithm>
#include <cstdint>
#include <cstring>
#ifdef __SSE2__
#include <emmintrin.h>
#endif

namespace flambeau {

// A call that touches more bytes than this finds few of them in a cache, and leaves few there:
// seven eighths of the last cache, where its size is known.
int64_t cache_bytes();
// Elements that are made at a time, in the nearest cache, before they are streamed.
constexpr int kStreamBlock = 512;

// memcpy past the caches. Who hands the target to another thread does so by a locked instruction,
// as the pool does at the end of a chunk: it waits for these stores too.
inline void stream_bytes(char* dst, const char* src, int64_t n) {
#ifdef __SSE2__
  const int64_t head = std::min<int64_t>(n, -reinterpret_cast<intptr_t>(dst) & 15);
  std::memcpy(dst, src, size_t(head));
  int64_t i = head;
  for (; i + 64 <= n; i += 64)
    for (int k = 0; k < 64; k += 16)
      _mm_stream_si128(reinterpret_cast<__m128i*>(dst + i + k),
                       _mm_loadu_si128(reinterpret_cast<const __m128i*>(src + i + k)));
  std::memcpy(dst + i, src + i, size_t(n - i));
#else
  std::memcpy(dst, src, size_t(n));
#endif
}

} // namespace flambeau
