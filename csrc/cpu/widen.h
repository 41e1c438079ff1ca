// Halves as floats, for kernels that read float: one pair of loops for each instruction set.
#pragma once
#include <cstdint>

namespace flambeau {

struct Widen {
  void (*bf16)(const uint16_t* x, float* y, int64_t n);
  void (*f16)(const uint16_t* x, float* y, int64_t n); // null where the casts are as good
};
namespace reduce_base {
extern const Widen widen;
}
namespace reduce_avx2 {
extern const Widen widen;
}
namespace reduce_avx512 {
extern const Widen widen;
}

} // namespace flambeau
