// Order on a GPU: sorting, ranks, places among boundaries, counts.
#pragma once
#include "../core/tensor.h"

namespace flambeau::cuda {

// The first `keep` of each row of x ([rows, n], contiguous; n < 2^32) in order, equal ones as they
// stood and NaN as the largest, and where they were: [rows, keep] each, contiguous.
void sort_rows(const Tensor& x, bool descending, const Tensor& values, const Tensor& places);

enum class Rank : uint8_t { Kth, Median, NanMedian, Mode };
// One element of each row of x, and where it is: the k-th from 0, or the one of that kind.
void pick_rank(const Tensor& x, Rank rank, int64_t k, const Tensor& value, const Tensor& place);

// out[i]: how many of the boundaries (last dimension; one row for all, or one for each row of
// values) are less than values[i], or (right) not greater. order, if defined, sorts them.
void search(const Tensor& bounds, const Tensor& values, const Tensor& order, bool right,
            const Tensor& out);

// counts (int64, zeros) += how often each of 0, 1 .. occurs in x.
void count_integers(const Tensor& x, const Tensor& counts);
// The same for equal bins from low to high.
void count_bins(const Tensor& x, double low, double high, const Tensor& counts);

} // namespace flambeau::cuda
