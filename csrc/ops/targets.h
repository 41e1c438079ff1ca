// Rows written at positions that an index names: shared out so that the result does not depend on
// the threads, and equal targets are written in the order of the index.
#pragma once
#include <algorithm>
#include <bit>
#include <cstdint>
#include <utility>
#include <vector>

#include "../cpu/parallel.h"

namespace flambeau {

// The positions of n targets below `size`, sorted by the range of 1 << shift targets they fall in,
// those of one range in order.
struct TargetRanges {
  int shift = 0;
  std::vector<int64_t> starts; // of each range in `order`, and the end
  std::vector<int32_t> order;

  TargetRanges(const int64_t* target, int64_t n, int64_t size, int64_t ranges) {
    shift = std::bit_width(uint64_t((size - 1) / ranges));
    std::vector<int64_t> at(size_t((size - 1) >> shift) + 1, 0);
    for (int64_t i = 0; i < n; ++i) ++at[size_t(target[i] >> shift)];
    int64_t sum = 0;
    for (int64_t& a : at) {
      starts.push_back(sum);
      sum += std::exchange(a, sum);
    }
    starts.push_back(sum);
    order.resize(size_t(n));
    for (int64_t i = 0; i < n; ++i) order[size_t(at[size_t(target[i] >> shift)]++)] = int32_t(i);
  }
};

// For each q < outer: begin(q, low, high) for ranges of targets that make up [0, size), then
// put(q, i) for the positions i < n whose target lies in the range, in order. `row`: elements that
// a target has; `whole`: begin() touches all of them. fetch(q, i) tells of a later put(q, i).
template<class Begin, class Fetch, class Put>
void put_by_target(int64_t outer, const int64_t* target, int64_t n, int64_t size, int64_t row,
                   bool whole, Begin begin, Fetch fetch, Put put) {
  constexpr int64_t kGrain = 32768;
  if (outer == 0 || size == 0) return;
  int64_t work = (n + (whole ? size : 0)) * row;
  if (outer >= 16 || row < 8 || work <= kGrain || n >= INT32_MAX)
    return parallel_for(outer, std::max<int64_t>(1, kGrain / std::max<int64_t>(work, 1)),
                        [&](int64_t b, int64_t e) {
                          for (int64_t q = b; q < e; ++q) {
                            begin(q, int64_t(0), size);
                            for (int64_t i = 0; i < n; ++i) put(q, i);
                          }
                        });
  TargetRanges r(target, n, size, std::min<int64_t>({size, 64, 2 * (work / (2 * kGrain) + 1)}));
  int64_t ranges = int64_t(r.starts.size()) - 1;
  parallel_for(outer * ranges, 1, [&](int64_t b, int64_t e) {
    for (int64_t t = b; t < e; ++t) {
      int64_t q = t / ranges, k = t % ranges;
      begin(q, k << r.shift, std::min(size, (k + 1) << r.shift));
      for (int64_t j = r.starts[size_t(k)], end = r.starts[size_t(k) + 1]; j < end; ++j) {
        if (j + 4 < end) fetch(q, int64_t(r.order[size_t(j + 4)]));
        put(q, int64_t(r.order[size_t(j)]));
      }
    }
  });
}

} // namespace flambeau
