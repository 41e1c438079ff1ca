// The axes of a reduction, sorted and merged, for the drivers of both devices.
#pragma once
#include <cstdint>
#include <utility>

#include "../core/small_vec.h"

namespace flambeau {

struct Axis {
  int64_t size, in, out; // strides of input and output, in the driver's units
};
using AxisList = SmallVec<Axis, 6>;

// Sorted by the input's strides, innermost first; neighbours merged; broadcast axes outermost.
inline void tidy(AxisList& a) {
  auto inside = [](const Axis& x, const Axis& y) { return x.in && (!y.in || x.in < y.in); };
  for (int i = 1; i < a.size(); ++i)
    for (int j = i; j > 0 && inside(a[j], a[j - 1]); --j) std::swap(a[j], a[j - 1]);
  AxisList m;
  for (const Axis& x : a) {
    if (!m.empty() && x.in == m.back().in * m.back().size && x.out == m.back().out * m.back().size)
      m.back().size *= x.size;
    else
      m.push_back(x);
  }
  a = m;
}

inline int64_t product(const AxisList& a, int from = 0) {
  int64_t n = 1;
  for (int i = from; i < a.size(); ++i) n *= a[i].size;
  return n;
}

} // namespace flambeau
