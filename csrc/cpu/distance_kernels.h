// Distances between rows: the loops, one table for each instruction set.
#pragma once
#include <cstdint>

namespace flambeau {

struct DistanceTable {
  // out[j] = p-norm of a - b[j], for `count` rows of b, m elements each.
  void (*f32)(const float* a, const float* b, int64_t count, int64_t m, double p, float* out);
  void (*f64)(const double* a, const double* b, int64_t count, int64_t m, double p, double* out);
};
namespace distance_base {
extern const DistanceTable table;
}
namespace distance_avx2 {
extern const DistanceTable table;
}
namespace distance_avx512 {
extern const DistanceTable table;
}

} // namespace flambeau
