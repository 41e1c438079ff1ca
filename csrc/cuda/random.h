// Random fills and dropout on a GPU: the numbers of csrc/cpu/philox.h, bit for bit.
#pragma once
#include "../ops/random.h"

namespace flambeau::cuda {

enum class Fill { Uniform, Normal, Exponential, Bernoulli, Integers };

struct FillNumbers { // as in kernels/random.cuh
  double a = 0, b = 0;
  int64_t low = 0;
  uint64_t range = 0;
};

// Fills a contiguous tensor of any dtype. Uniform: a, b are the bounds; Normal: mean and deviation;
// Exponential: a is the rate; Bernoulli: a is the probability; Integers: low + below range. `wide`:
// the values take two words each, as doubles and integers of a large range do.
void fill_random(const Tensor& t, Fill kind, bool wide, FillNumbers numbers,
                 const PhiloxDraw& draw);
// y = mask ? x * scale : 0, with mask = 0 with probability p; all are contiguous.
void dropout(const Tensor& x, const Tensor& y, const Tensor& mask, double p, double scale,
             const PhiloxDraw& draw);
// Writes into out (rows, count) indices into the rows of the doubles `weights` (rows, n); ticks:
// counter values that each row takes. Returns what is wrong with the weights, which it waits for
// unless a graph is being recorded: 0, or bits 1 (negative, infinite or NaN), 2 (sum 0), 4 (too
// few).
int multinomial(const Tensor& weights, const Tensor& out, bool replace, uint64_t ticks,
                const PhiloxDraw& draw);

} // namespace flambeau::cuda
