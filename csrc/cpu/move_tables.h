// Loops that move or convert dense elements, one copy for each instruction set.
#pragma once
#include "../core/dtype.h"

namespace flambeau {

// n elements from one dtype to another.
using DenseCast = void (*)(const void* src, void* dst, int64_t n);
// out[i] = mask[i] ? a[i] : b[i]; bit 0 or 1 of `scalars`: a or b is one element for all.
using Choose = void (*)(const uint8_t* mask, const void* a, const void* b, void* out, int64_t n,
                        unsigned scalars);
// out[i] = src[n - 1 - i].
using Reverse = void (*)(const void* src, void* out, int64_t n);
// Every second element, n of them, side by side.
using EverySecond = void (*)(const void* src, void* dst, int64_t n);

struct MoveTables {
  DenseCast cast[kDTypes][kDTypes];
  Choose choose[5]; // by log2 of the element's size
  Reverse reverse[5];
  EverySecond every_second[5];
};
namespace move_base {
extern const MoveTables tables;
}
namespace move_avx2 {
extern const MoveTables tables;
}
namespace move_avx512 {
extern const MoveTables tables;
}
const MoveTables& move_tables(); // those of this processor

} // namespace flambeau
