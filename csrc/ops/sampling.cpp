// Draws of counts and of indices by weight.
#include <algorithm>
#include <cmath>

#include "../autograd/node.h"
#include "../core/registry.h"
#include "../cpu/parallel.h"
#include "../cpu/philox_formulas.h"
#include "../cuda/random.h"
#include "ops.h"
#include "random.h"

namespace flambeau {
namespace {

void check_weights(bool valid, bool some, bool enough) {
  FB_CHECK(valid, "probability tensor contains either `inf`, `nan` or element < 0");
  FB_CHECK(some, "invalid multinomial distribution (sum of probabilities <= 0)");
  FB_CHECK(enough, "invalid multinomial distribution (with replacement=False, "
                   "not enough non-negative category to sample)");
}

// o[i] = the first of n ascending sums above u[i] * total, or the last. No branch depends on u, as
// its guess would fail half the time, and eight searches wait for memory side by side.
void find_above(const double* sums, int64_t n, const double* u, double total, int64_t* o,
                int64_t count) {
  for (int64_t i = 0; i < count; i += 8) {
    const int64_t end = std::min(count, i + 8);
    std::fill(o + i, o + end, 0);
    for (int64_t left = n, half; left > 1; left -= half) {
      half = left / 2;
      for (int64_t k = i; k < end; ++k)
        o[k] += half & -int64_t(sums[o[k] + half - 1] <= u[k] * total);
    }
  }
}

// One row of n weights w; u: a uniform number for each index drawn.
void draw_again(const double* w, int64_t* o, int64_t n, int64_t count, const double* u,
                std::vector<double>& sums) {
  double total = 0;
  bool valid = true;
  for (int64_t i = 0; i < n; ++i) {
    valid &= w[i] >= 0 && w[i] < INFINITY;
    sums[size_t(i)] = total += w[i];
  }
  check_weights(valid, total > 0, true);
  find_above(sums.data(), n, u, total, o, count);
}

struct Racer {
  double key;
  int64_t at;
};
// The same without replacement, by an exponential race: the largest of w / e, with numbers e of
// the exponential distribution.
void draw_once(const double* w, int64_t* o, int64_t n, int64_t count, const double* e,
               std::vector<Racer>& racers) {
  int64_t positive = 0;
  bool valid = true;
  for (int64_t i = 0; i < n; ++i) {
    valid &= w[i] >= 0 && w[i] < INFINITY;
    positive += w[i] > 0;
    racers[size_t(i)] = {w[i] == 0 ? -1 : w[i] / e[i], i};
  }
  check_weights(valid, positive > 0, positive >= count);
  auto ahead = [](const Racer& a, const Racer& b) {
    return a.key != b.key ? a.key > b.key : a.at < b.at;
  };
  auto last = racers.begin() + count;
  if (count > n / 16) { // a heap that holds most of the row is slow to renew
    std::nth_element(racers.begin(), last - 1, racers.end(), ahead);
    std::sort(racers.begin(), last, ahead);
  } else {
    std::partial_sort(racers.begin(), last, racers.end(), ahead);
  }
  for (int64_t i = 0; i < count; ++i) o[i] = racers[size_t(i)].at;
}

Tensor multinomial(const Tensor& in, int64_t count, bool replace, void* gen) {
  FB_CHECK(in.dim() == 1 || in.dim() == 2, "prob_dist must be 1 or 2 dim, but it is ",
           describe(in));
  FB_CHECK(is_float(in.dtype()),
           "multinomial only supports floating-point dtypes for input, got: ", in.dtype());
  FB_CHECK(count > 0, "cannot sample n_sample <= 0 samples");
  int64_t n = in.size(-1), rows = in.dim() == 2 ? in.shape()[0] : 1;
  FB_CHECK(replace || count <= n, "cannot sample n_sample > prob_dist.size(-1) samples without "
                                  "replacement");
  replace = replace || count == 1; // one number a row is then enough
  NoGrad off;
  Device on = in.device();
  Tensor out = empty({rows, count}, DType::I64, on);
  auto shaped = [&](const Tensor& t) { return in.dim() == 1 ? view(t, {count}) : t; };
  if (on.is_meta()) return shaped(out);
  int64_t numbers = replace ? count : n;
  uint64_t ticks = philox_ticks(numbers, 2);
  // Without replacement a GPU looks for the best once for each index: of many the host sorts.
  if (on.is_cuda() && (replace || count <= 32)) {
    Tensor w = view(contiguous(to_dtype(in, DType::F64)), {rows, n});
    PhiloxDraw draw = next_philox(ticks * uint64_t(rows), on, gen);
    int wrong = cuda::multinomial(w, out, replace, ticks, draw);
    check_weights(!(wrong & 1), !(wrong & 2), !(wrong & 4));
    return shaped(out);
  }
  PhiloxDraw draw = host_draw(ticks * uint64_t(rows), on, gen, "multinomial");
  Tensor p = contiguous(to_dtype(on_host(in), DType::F64)), made = empty({rows, count}, DType::I64);
  const double* weights = p.data<double>();
  int64_t* chosen = made.data<int64_t>();
  parallel_for(rows, std::max<int64_t>(1, 4096 / std::max(n, count)), [&](int64_t b, int64_t e) {
    std::vector<double> u(size_t(e - b) * ticks * 2), sums(replace ? size_t(n) : 0);
    std::vector<Racer> racers(replace ? 0 : size_t(n));
    const uint64_t from = draw.offset + uint64_t(b) * ticks;
    if (replace)
      random::fill_uniform(u.data(), int64_t(u.size()), 0, 1, draw.seed, from);
    else
      random::fill_exponential(u.data(), int64_t(u.size()), 1, draw.seed, from);
    for (int64_t r = b; r < e; ++r) {
      const double *w = weights + r * n, *own = u.data() + uint64_t(r - b) * ticks * 2;
      if (replace)
        draw_again(w, chosen + r * count, n, count, own, sums);
      else
        draw_once(w, chosen + r * count, n, count, own, racers);
    }
  });
  if (on.is_cuda()) copy_values(out, made);
  return shaped(on.is_cuda() ? out : made);
}

// A Poisson count of a small rate from one uniform number, by the running sum of probabilities.
double poisson_by_sum(double rate, double u) {
  double p = std::exp(-rate), sum = p, count = 0;
  while (u >= sum && p > 1e-20) { // beyond that, u lies above the sum by its rounding alone
    p *= rate / ++count;
    sum += p;
  }
  return count;
}

// Of a large rate by transformed rejection (PTRS of Hoermann 1993); u and v are tried first, then
// the blocks (place, 1), (place, 2) ... of Philox.
double poisson_by_rejection(double rate, double u, double v, uint64_t seed, uint64_t place) {
  const uint32_t key[2] = {uint32_t(seed), uint32_t(seed >> 32)};
  uint32_t at[4] = {uint32_t(place), uint32_t(place >> 32), 0, 1}, w[4];
  const double b = 0.931 + 2.53 * std::sqrt(rate), a = -0.059 + 0.02483 * b;
  const double sure = 0.9277 - 3.6224 / (b - 2), scale = 1.1239 + 1.1328 / (b - 3.4);
  for (;;) {
    const double centred = u - 0.5, edge = 0.5 - std::abs(centred);
    const double count = std::floor((2 * a / edge + b) * centred + rate + 0.43);
    if (edge >= 0.07 && v <= sure) return count;
    if (count >= 0 && (edge >= 0.013 || v <= edge) &&
        std::log(v * scale / (a / (edge * edge) + b)) <=
            count * std::log(rate) - rate - math::log_gamma(count + 1))
      return count;
    ++at[2];
    philox_block(key, at, w);
    u = philox::unit(w[0], w[1]);
    v = philox::unit(w[2], w[3]);
  }
}

// The host makes the counts of every device.
Tensor poisson(const Tensor& rate, void* gen) {
  FB_CHECK(is_float(rate.dtype()), "poisson: floating point rates expected, got ", rate.dtype());
  NoGrad off;
  if (rate.is_meta()) return empty(rate.shape(), rate.dtype(), rate.device());
  PhiloxDraw draw = host_draw(uint64_t(rate.numel()), rate.device(), gen, "poisson");
  Tensor r = contiguous(to_dtype(on_host(rate), DType::F64)), out = empty(rate.shape(), DType::F64);
  const double* rates = r.data<double>();
  double* counts = out.data<double>();
  constexpr int64_t kChunk = 512;
  parallel_for(r.numel(), kChunk, [&](int64_t b, int64_t e) {
    double u[2 * kChunk]; // two for each element, from its own counter value
    random::fill_uniform(u, 2 * (e - b), 0, 1, draw.seed, draw.offset + uint64_t(b));
    for (int64_t i = b; i < e; ++i) {
      FB_CHECK(rates[i] >= 0, "invalid Poisson rate, expected rate to be non-negative");
      const double first = u[2 * (i - b)], second = u[2 * (i - b) + 1];
      counts[i] = rates[i] < 10 ? poisson_by_sum(rates[i], first)
                                : poisson_by_rejection(rates[i], first, second, draw.seed,
                                                       draw.offset + uint64_t(i));
    }
  });
  return move_to(out, rate.device(), rate.dtype());
}

Register rows({
    {"multinomial(Tensor input, int num_samples, bool replacement=False, *, generator? "
     "generator=None) -> Tensor",
     kFMO,
     [](Args& a) -> Value {
       return multinomial(a.tensor(0), a.integer(1), a.flag(2), a.object(3));
     },
     "Indices drawn with probabilities proportional to the rows of input."},
    {"poisson(Tensor input, generator? generator=None) -> Tensor", kFunction,
     [](Args& a) -> Value { return poisson(a.tensor(0), a.object(1)); },
     "Poisson counts with rates input."},
});

} // namespace
} // namespace flambeau
