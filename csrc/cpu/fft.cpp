// Fourier transforms: plans, blocks of transforms side by side, and long or awkward lengths.
#include "fft.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <memory>
#include <mutex>
#include <numbers>
#include <type_traits>

#include "fft_kernels.h"
#include "gemm_kernels.h"
#include "parallel.h"

namespace flambeau {

namespace {

constexpr int kSlotBlock = 3;
constexpr int64_t kBlockBytes = 1 << 18;  // of a block's points, which live in L2
constexpr int64_t kShort = 64;            // points of which a transform is not cut in two
constexpr int64_t kChunkPoints = 1 << 12; // that are worth a chunk
constexpr int64_t kPlanBytes = 64 << 20;  // of the factors that are kept

// A long line's numbers, which no thread keeps.
template<class T>
std::unique_ptr<T[]> buffer(int64_t count) {
  return std::unique_ptr<T[]>(new T[static_cast<size_t>(count)]);
}

int64_t ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }

// to = (re, im) of e^(-2 pi i k / n), from an angle of at most an eighth of a turn.
template<class T>
void root(int64_t k, int64_t n, T* to) {
  using Wide = std::conditional_t<sizeof(T) == 4, double, long double>;
  const int64_t eighth = 8 * k / n; // 8k is far from overflowing: n points lie in memory
  const int64_t quarter = (eighth + 1) / 2;
  const Wide angle = Wide(4 * k - quarter * n) / Wide(n) * (std::numbers::pi_v<Wide> / 2);
  const Wide c = std::cos(angle), s = std::sin(angle);
  const Wide re[] = {c, -s, -c, s}, im[] = {-s, -c, s, c};
  to[0] = T(re[quarter % 4]), to[1] = T(im[quarter % 4]);
}

// The divisor of n next below its square root.
int64_t columns_of(int64_t n) {
  auto r = int64_t(std::sqrt(double(n)));
  while (n % r != 0) r--;
  return r;
}
bool splits(int64_t n) { return n > kShort && columns_of(n) >= 8; }

// What transforms of n points need, any number of them or a single long one.
template<class T>
struct Plan {
  int64_t n;
  std::vector<FftStage<T>> stages;
  std::vector<T> roots; // [re, im] of e^(-2 pi i k / 2n), k <= n / 2: pairs of real numbers
  // A long one: n = rows * cols, with the factors between its two halves (as points, by blocks of
  // columns).
  int64_t rows = 0, cols = 0;
  std::vector<T> between;
  // Bluestein 1970: a transform with a large prime factor is a convolution with a chirp.
  int64_t padded = 0;
  std::vector<T> chirp, spectrum; // conj(chirp[j]) = e^(pi i j^2 / n), the transform of that

  Plan(int64_t points, bool is_long) : n(points) {
    std::vector<int64_t> radices;
    int64_t rest = n;
    for (; rest % 4 == 0; rest /= 4) radices.push_back(4);
    for (int64_t r = 2; r <= kFftRadix; r++)
      for (; rest % r == 0; rest /= r) radices.push_back(r);
    if (rest > 1)
      plan_chirp();
    else if (is_long && splits(n))
      plan_between(fft_kernels<T>().lanes);
    else
      plan_stages(radices);
  }
  void plan_stages(const std::vector<int64_t>& radices) {
    int64_t s = 1;
    for (int64_t r : radices) stages.push_back(stage(r, n / s / r, s)), s *= r;
    roots.resize(n + 2);
    for (int64_t k = 0; k <= n / 2; k++) root(k, 2 * n, roots.data() + 2 * k);
  }
  static FftStage<T> stage(int64_t r, int64_t m, int64_t s) {
    FftStage<T> st{r, m, s, std::vector<T>(m * (r - 1) * 2), std::vector<T>(2 * r)};
    for (int64_t p = 0; p < m; p++)
      for (int64_t k = 1; k < r; k++)
        root(p * k, r * m, st.twist.data() + (p * (r - 1) + k - 1) * 2);
    for (int64_t j = 0; j < r; j++) {
      root(j, r, st.roots.data() + 2 * j);
      st.roots[2 * j + 1] = -st.roots[2 * j + 1];
    }
    return st;
  }
  void plan_chirp();
  int64_t bytes() const { return 6 * std::max(n, padded) * int64_t(sizeof(T)); }

  void plan_between(int64_t lanes) {
    cols = columns_of(n), rows = n / cols;
    const int64_t blocks = ceil_div(cols, lanes);
    between.resize(blocks * rows * 2 * lanes);
    for (int64_t b = 0; b < blocks; b++)
      for (int64_t k = 0; k < rows; k++)
        for (int64_t l = 0; l < std::min(lanes, cols - b * lanes); l++) {
          T z[2];
          root(k * (b * lanes + l), n, z);
          T* to = between.data() + (b * rows + k) * 2 * lanes + l;
          to[0] = z[0], to[lanes] = z[1];
        }
  }
};

// The plan for n, perhaps with what one long transform needs.
template<class T>
std::shared_ptr<const Plan<T>> plan_for(int64_t n, bool is_long) {
  static std::mutex mutex;
  static std::map<std::pair<int64_t, bool>, std::shared_ptr<const Plan<T>>> kept;
  static int64_t bytes = 0;
  {
    std::lock_guard lock(mutex);
    const auto found = kept.find({n, is_long});
    if (found != kept.end()) return found->second;
  }
  auto plan = std::make_shared<const Plan<T>>(n, is_long);
  std::lock_guard lock(mutex);
  if (bytes + plan->bytes() > kPlanBytes) kept.clear(), bytes = 0;
  bytes += plan->bytes();
  return kept[{n, is_long}] = plan;
}

// Some transforms side by side: src to dst, which are counted in reals.
template<class T>
struct Block {
  const FftKernels<T>& kernels = fft_kernels<T>();
  const Plan<T>& plan;
  FftKind kind;
  bool inverse, paired; // paired: of 2n real numbers
  T scale;
  FftSteps in, out;
  const T* factors = nullptr; // points to multiply the result by

  void run(int lanes, const T* src, T* dst) const {
    const int64_t n = plan.n, L = kernels.lanes, size = (n + 1) * 2 * L;
    T *x = workspace<T>(kSlotBlock, 2 * size), *y = x + size;
    const bool half_in = kind == FftKind::kToReal, half_out = kind == FftKind::kFromReal;
    kernels.load(!half_in ? n : paired ? n + 1 : n / 2 + 1, lanes, src, in, x);
    if (half_in && paired) kernels.pair(n, plan.roots.data(), x);
    if (half_in && !paired) mirror(x);
    x = kernels.transform(plan.stages, inverse, x, y);
    if (half_out && paired) kernels.unpair(n, plan.roots.data(), x);
    if (factors != nullptr) kernels.twist(n, factors, inverse, x);
    const int64_t count = !half_out ? n : paired ? n + 1 : n / 2 + 1;
    if (scale != T(1)) kernels.scale(count, scale, x);
    kernels.store(count, lanes, x, out, dst);
  }
  // The other half of an odd number of points.
  void mirror(T* x) const {
    const int64_t L = kernels.lanes;
    std::fill_n(x + L, L, T(0));
    for (int64_t k = 1; k <= plan.n / 2; k++)
      for (int64_t l = 0; l < L; l++) {
        x[(plan.n - k) * 2 * L + l] = x[k * 2 * L + l];
        x[(plan.n - k) * 2 * L + L + l] = -x[k * 2 * L + L + l];
      }
  }
};

// One line of complex numbers, in columns and then in rows; y may be x.
template<class T>
void long_line(const Plan<T>& plan, bool inverse, T scale, const T* x, T* y) {
  const int64_t lanes = fft_kernels<T>().lanes, rows = plan.rows, cols = plan.cols;
  const auto held = buffer<T>(2 * plan.n);
  T* parts = held.get();
  const auto down = plan_for<T>(rows, false), across = plan_for<T>(cols, false);
  const FftKind kind = FftKind::kComplex;
  const FftSteps wide{2 * cols, 2, 1}, tall{2, 2 * cols, 1}, turned{2 * rows, 2, 1};
  const Block<T> first{.plan = *down,
                       .kind = kind,
                       .inverse = inverse,
                       .paired = false,
                       .scale = T(1),
                       .in = wide,
                       .out = wide};
  const Block<T> second{.plan = *across,
                        .kind = kind,
                        .inverse = inverse,
                        .paired = false,
                        .scale = scale,
                        .in = tall,
                        .out = turned};
  parallel_for(ceil_div(cols, lanes), ceil_div(kChunkPoints, rows * lanes),
               [&](int64_t b, int64_t end) {
                 for (; b < end; b++) {
                   Block<T> block = first;
                   block.factors = plan.between.data() + b * rows * 2 * lanes;
                   const int64_t at = b * lanes;
                   block.run(int(std::min(lanes, cols - at)), x + 2 * at, parts + 2 * at);
                 }
               });
  parallel_for(ceil_div(rows, lanes), ceil_div(kChunkPoints, cols * lanes),
               [&](int64_t b, int64_t end) {
                 for (; b < end; b++) {
                   const int64_t at = b * lanes;
                   second.run(int(std::min(lanes, rows - at)), parts + 2 * at * cols, y + 2 * at);
                 }
               });
}

template<class T>
void multiply(int64_t n, const T* a, const T* b, bool conjugate_b, T* to) {
  for (int64_t i = 0; i < 2 * n; i += 2) {
    const T ar = a[i], ai = a[i + 1], br = b[i], bi = conjugate_b ? -b[i + 1] : b[i + 1];
    to[i] = ar * br - ai * bi, to[i + 1] = ar * bi + ai * br;
  }
}

// One line of complex numbers, whatever its length; y may be x.
template<class T>
void line(int64_t n, bool inverse, T scale, const T* x, T* y) {
  const auto plan = plan_for<T>(n, true);
  if (plan->padded != 0) {
    const int64_t m = plan->padded;
    const auto held = buffer<T>(2 * m);
    T* a = held.get();
    multiply(n, x, plan->chirp.data(), inverse, a);
    std::fill(a + 2 * n, a + 2 * m, T(0));
    line<T>(m, false, T(1), a, a);
    multiply(m, a, plan->spectrum.data(), inverse, a);
    line<T>(m, true, T(1) / T(m), a, a);
    multiply(n, a, plan->chirp.data(), inverse, y);
    for (int64_t i = 0; scale != T(1) && i < 2 * n; i++) y[i] *= scale;
    return;
  }
  if (plan->cols != 0) return long_line(*plan, inverse, scale, x, y);
  const FftSteps steps{2, 2 * n, 1};
  const Block<T> block{.plan = *plan,
                       .kind = FftKind::kComplex,
                       .inverse = inverse,
                       .paired = false,
                       .scale = scale,
                       .in = steps,
                       .out = steps};
  block.run(1, x, y);
}

template<class T>
void Plan<T>::plan_chirp() {
  padded = 1;
  while (padded < 2 * n - 1) padded *= 2;
  chirp.resize(2 * n), spectrum.assign(2 * padded, T(0));
  int64_t square = 0; // j^2 mod 2n
  for (int64_t j = 0; j < n; square = (square + 2 * j + 1) % (2 * n), j++) {
    T* c = chirp.data() + 2 * j;
    root(square, 2 * n, c);
    T *b = spectrum.data() + 2 * j, *mirrored = spectrum.data() + 2 * ((padded - j) % padded);
    b[0] = mirrored[0] = c[0], b[1] = mirrored[1] = -c[1];
  }
  line<T>(padded, false, T(1), spectrum.data(), spectrum.data());
}

// All lines of a tensor.
template<class T>
struct Lines {
  const FftKind kind;
  const FftShape& s;
  const bool from_real = kind == FftKind::kFromReal, to_real = kind == FftKind::kToReal;
  const int64_t unit_in = from_real ? 1 : 2, unit_out = to_real ? 1 : 2; // reals of an element
  const int64_t count_in = to_real ? s.n / 2 + 1 : s.n, count_out = from_real ? s.n / 2 + 1 : s.n;

  // One at a time, by way of a line of complex numbers.
  void one_by_one(const T* x, T* y) const {
    const bool in_place = kind == FftKind::kComplex && s.inner == 1;
    auto run = [&](int64_t i) {
      const T* from = x + (i / s.inner * count_in * s.inner + i % s.inner) * unit_in;
      T* to = y + (i / s.inner * count_out * s.inner + i % s.inner) * unit_out;
      if (in_place) return line<T>(s.n, s.inverse, T(s.scale), from, to);
      const auto held = buffer<T>(2 * s.n);
      T* row = held.get();
      for (int64_t j = 0; j < count_in; j++) {
        row[2 * j] = from[j * unit_in * s.inner];
        row[2 * j + 1] = from_real ? T(0) : from[j * unit_in * s.inner + 1];
      }
      if (to_real) {
        row[1] = 0;
        if (s.n % 2 == 0) row[s.n + 1] = 0;
        for (int64_t j = 1; j < s.n - s.n / 2; j++)
          row[2 * (s.n - j)] = row[2 * j], row[2 * (s.n - j) + 1] = -row[2 * j + 1];
      }
      line<T>(s.n, s.inverse, T(s.scale), row, row);
      for (int64_t j = 0; j < count_out; j++) {
        to[j * unit_out * s.inner] = row[2 * j];
        if (!to_real) to[j * unit_out * s.inner + 1] = row[2 * j + 1];
      }
    };
    const int64_t all = s.outer * s.inner;
    if (all < 4)
      for (int64_t i = 0; i < all; i++) run(i);
    else
      parallel_for(all, ceil_div(kChunkPoints, s.n), [&](int64_t i, int64_t end) {
        for (; i < end; i++) run(i);
      });
  }

  void run(const T* x, T* y) const {
    const bool paired = kind != FftKind::kComplex && s.n % 2 == 0;
    const int64_t n = paired ? s.n / 2 : s.n;
    const int64_t lanes = fft_kernels<T>().lanes, across = s.inner > 1 ? s.inner : s.outer;
    const bool large = 4 * n * lanes * int64_t(sizeof(T)) > kBlockBytes && s.inner < 2 * lanes;
    if ((large || across < lanes / 2) && splits(n)) return one_by_one(x, y);
    const auto plan = plan_for<T>(n, false);
    if (plan->padded != 0) return one_by_one(x, y);
    const int64_t step_in = unit_in * s.inner, step_out = unit_out * s.inner;
    const bool pair_in = paired && from_real, pair_out = paired && to_real;
    const Block<T> block{
        .plan = *plan,
        .kind = kind,
        .inverse = s.inverse,
        .paired = paired,
        .scale = T(s.scale),
        .in = {pair_in ? 2 * step_in : step_in, s.inner > 1 ? unit_in : unit_in * count_in,
               pair_in     ? step_in
               : from_real ? 0
                           : 1},
        .out = {pair_out ? 2 * step_out : step_out, s.inner > 1 ? unit_out : unit_out * count_out,
                pair_out  ? step_out
                : to_real ? 0
                          : 1}};
    const int64_t blocks = ceil_div(across, lanes), outer = s.inner > 1 ? s.outer : 1;
    parallel_for(outer * blocks, ceil_div(kChunkPoints, n * lanes), [&](int64_t i, int64_t end) {
      for (; i < end; i++) {
        const int64_t at = i % blocks * lanes, image = i / blocks;
        block.run(int(std::min(lanes, across - at)),
                  x + image * count_in * step_in + at * block.in.lane,
                  y + image * count_out * step_out + at * block.out.lane);
      }
    });
  }
};

} // namespace

template<class T>
void fft(FftKind kind, const FftShape& shape, const T* x, T* y) {
  if (shape.outer * shape.inner > 0) Lines<T>{.kind = kind, .s = shape}.run(x, y);
}
template void fft<float>(FftKind, const FftShape&, const float*, float*);
template void fft<double>(FftKind, const FftShape&, const double*, double*);

template<class T>
const FftKernels<T>& fft_kernels() {
  static const FftKernels<T>* const table = cpu_isa() == 2   ? avx512::fft_table<T>()
                                            : cpu_isa() == 1 ? avx2::fft_table<T>()
                                                             : base::fft_table<T>();
  return *table;
}
template const FftKernels<float>& fft_kernels<float>();
template const FftKernels<double>& fft_kernels<double>();

} // namespace flambeau
