// CHECK(condition, format, ...): a failure is printed with its line, and counted.
#pragma once

#include <atomic>
#include <cstdio>

inline std::atomic<int> failures = 0;

#define CHECK(condition, ...)                  \
  do {                                         \
    if (!(condition)) {                        \
      failures++;                              \
      std::printf("FAIL line %d: ", __LINE__); \
      std::printf(__VA_ARGS__);                \
      std::printf("\n");                       \
    }                                          \
  } while (0)

// What main() of a test returns.
inline int outcome() {
  std::printf(failures == 0 ? "all passed\n" : "%d failures\n", failures.load());
  return failures != 0;
}
