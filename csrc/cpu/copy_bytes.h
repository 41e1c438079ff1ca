// Copies of rows of bytes.
#pragma once
#include <cstdint>
#include <cstring>

namespace flambeau {

// n bytes that do not overlap with the target. Not memcpy: from some thousand bytes on glibc's is
// "rep movsb", which takes ten times as long on Zen 3 where the target lies up to 48 bytes behind
// the source, modulo the page: so do all rows moved by a few elements.
[[gnu::always_inline]] inline void copy_bytes(char* to, const char* from, int64_t n) {
  typedef int64_t V __attribute__((vector_size(16)));
  auto move = [&]<class U>(int64_t i, U) {
    U v;
    std::memcpy(&v, from + i, sizeof(U));
    std::memcpy(to + i, &v, sizeof(U));
  };
  auto line = [&](int64_t i) {
    V a, b, c, d;
    std::memcpy(&a, from + i, 16);
    std::memcpy(&b, from + i + 16, 16);
    std::memcpy(&c, from + i + 32, 16);
    std::memcpy(&d, from + i + 48, 16);
    std::memcpy(to + i, &a, 16);
    std::memcpy(to + i + 16, &b, 16);
    std::memcpy(to + i + 32, &c, 16);
    std::memcpy(to + i + 48, &d, 16);
  };
  if (n >= 64) {
    for (int64_t i = 0; i + 64 <= n; i += 64) line(i);
    if (n % 64) line(n - 64);
  } else if (n >= 16) {
    move(0, V{});
    if (n > 32) move(16, V{});
    if (n > 48) move(32, V{});
    move(n - 16, V{});
  } else if (n >= 8) {
    move(0, int64_t());
    move(n - 8, int64_t());
  } else if (n >= 4) {
    move(0, int32_t());
    move(n - 4, int32_t());
  } else {
    for (int64_t i = 0; i < n; ++i) to[i] = from[i];
  }
}

} // namespace flambeau
