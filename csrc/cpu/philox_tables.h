// What philox.cpp calls: one table of loops for each instruction set.
#pragma once
#include <cstdint>

namespace flambeau {

// Where the numbers come from, and the parameters of the distribution.
struct Stream {
  uint64_t seed, offset;
  double a = 0, b = 0;
  int64_t low = 0;
  uint64_t range = 0;
};

// Fills the elements [begin, end) of out; begin is a multiple of 1024.
using PhiloxFill = void (*)(const Stream& s, void* out, int64_t begin, int64_t end);
using PhiloxDropout = void (*)(const Stream& s, const void* x, void* y, uint8_t* mask,
                               int64_t begin, int64_t end);
using PhiloxBernoulli = bool (*)(const Stream& s, const void* p, void* out, int64_t begin,
                                 int64_t end);

struct PhiloxTable {
  PhiloxFill bits32, bits64, uniform32, uniform64, normal32, normal64, exponential32, exponential64,
      bernoulli, randint32, randint64;
  PhiloxDropout dropout32, dropout64;
  PhiloxBernoulli bernoulli_by32, bernoulli_by64;
};

namespace philox_base {
extern const PhiloxTable table;
}
namespace philox_avx2 {
extern const PhiloxTable table;
}
namespace philox_avx512 {
extern const PhiloxTable table;
}

} // namespace flambeau
