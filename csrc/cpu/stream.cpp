// How much the last cache holds.
#include "stream.h"

#if defined(__linux__)
#include <unistd.h>
#endif

namespace flambeau {

int64_t cache_bytes() {
  static const int64_t bytes = [] {
    int64_t last = 0;
#if defined(__linux__) && defined(_SC_LEVEL3_CACHE_SIZE)
    last = sysconf(_SC_LEVEL3_CACHE_SIZE);
#endif
    constexpr int64_t kMega = 1 << 20;
    return last > 0 ? std::clamp(last / 8 * 7, 8 * kMega, 64 * kMega) : 20 * kMega;
  }();
  return bytes;
}

} // namespace flambeau
