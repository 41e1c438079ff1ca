// Running folds along a dimension: rows by tiles of a block, columns by a thread each, both in
// chunks of which the totals are found first.
//
// Defined in front: FB_STORED and FB_OUT, the elements' types; FB_COMPUTE; FB_SCAN, one of the
// folds below; FB_SECOND, the type of a second output, positions; FB_PACK, elements of a thread;
// FB_ALIGNED where rows are whole numbers of packs; FB_COLUMNS for other dimensions than the last.
//! needs: types.cuh group.cuh

using S = FB_STORED;
using O = FB_OUT;
using T = FB_COMPUTE;
constexpr int V = FB_PACK;

// Running values are kept wider than the elements.
using Wide = std::conditional_t<std::is_same_v<T, float>, double,
                                std::conditional_t<std::is_same_v<T, c64>, c128, T>>;
struct ScanSum {
  using State = Wide;
  static State none() { return State(0); }
  static State of(T x, i64) { return convert<State>(x); }
  static State join(State a, State b) { return a + b; }
  static T value(State s) { return convert<T>(s); }
};
struct ScanProd : ScanSum {
  static State none() { return State(1); }
  static State join(State a, State b) { return a * b; }
};
template<class A>
struct LogSumExp {
  using State = A;
  static A none() { return A(-INFINITY); }
  static A of(A x, i64) { return x; }
  static A join(A a, A b) {
#ifdef FB_COMPLEX
    const A hi = a.re >= b.re ? a : b, lo = a.re >= b.re ? b : a;
    if (lo.re == -INFINITY) return hi;
    return hi + math::log(A(1) + math::exp(lo - hi));
#else
    if (a != a || b != b) return a + b;
    const A hi = a > b ? a : b, lo = a > b ? b : a;
    return std::fabs(hi) == A(INFINITY) ? hi : hi + std::log1p(std::exp(lo - hi));
#endif
  }
  static A value(A s) { return s; }
};
using ScanLogSumExp = LogSumExp<T>;
// The last of equal extremes, and of NaNs; at < 0: none.
template<bool largest>
struct ScanExtreme {
  struct State {
    T value;
    i64 at;
  };
  static State none() { return {T(0), -1}; }
  static State of(T x, i64 at) { return {x, at}; }
  static State join(State a, State b) {
    if (a.at < 0 || b.at < 0) return a.at < 0 ? b : a;
    const bool nan_a = a.value != a.value, nan_b = b.value != b.value;
    if (nan_a != nan_b) return nan_b ? b : a;
    if (nan_a || a.value == b.value) return b.at > a.at ? b : a;
    return (largest ? b.value > a.value : b.value < a.value) ? b : a;
  }
  static T value(State s) { return s.value; }
};
using ScanMax = ScanExtreme<true>;
using ScanMin = ScanExtreme<false>;

using Fold = FB_SCAN;
using State = Fold::State;

struct Scan {
  const S* x;
  O* y;         // null: totals of the chunks are wanted
  i64* second;  // positions
  char* totals; // [row][chunk], or [chunk][column]; null where there is one chunk
  i64 rows, n, inner, length;
};
__forceinline__ void store(const Scan& g, i64 at, State s) {
  g.y[at] = convert<O>(Fold::value(s));
#ifdef FB_SECOND
  g.second[at] = s.at;
#endif
}

#ifndef FB_COLUMNS
// The inclusive scan over the threads of a row, from all before it: `before` comes to be what lies
// before this thread, the result the total.
__forceinline__ State scan_row(State s, State& before) {
  const int width = blockDim.x < 32 ? blockDim.x : 32, lane = threadIdx.x % width;
  for (int d = 1; d < width; d *= 2) {
    const State left = shuffle<kUp>(s, d, width);
    if (lane >= d) s = Fold::join(left, s);
  }
  const State left = shuffle<kUp>(s, 1, width);
  before = lane ? left : Fold::none();
  if (blockDim.x <= 32) return shuffle<kFrom>(s, width - 1, width);
  __shared__ State parts[32];
  const int warps = blockDim.x / 32, first = threadIdx.y * warps;
  __syncthreads(); // the last call's parts have been read
  if (lane == 31) parts[first + threadIdx.x / 32] = s;
  __syncthreads();
  State all = parts[first], warp = Fold::none();
  for (int k = 0; k < warps; ++k) {
    if (k == threadIdx.x / 32) warp = k ? all : Fold::none();
    if (k) all = Fold::join(all, parts[first + k]);
  }
  before = Fold::join(warp, before);
  return all;
}
extern "C" __global__ void __launch_bounds__(256) scan(Scan g) {
  const i64 r = (i64)blockIdx.x * blockDim.y + threadIdx.y;
  const bool live = r < g.rows;
  const i64 from = blockIdx.y * g.length, to = min(from + g.length, g.n), tile = blockDim.x * V;
  State* totals = (State*)g.totals + r * gridDim.y;
  State carry = Fold::none();
  if (g.totals && g.y) {
    for (i64 k = threadIdx.x; live && k < blockIdx.y; k += blockDim.x)
      carry = Fold::join(carry, totals[k]);
    carry = fold_to_all<Fold>(carry);
  }
  const S* x = g.x + r * g.n;
  for (i64 at = from; at < to; at += tile) {
    const i64 i = at + threadIdx.x * V;
    State s[V], before;
#ifdef FB_ALIGNED
    Pack<S, V> pack;
    if (live && i < to) pack = *(const Pack<S, V>*)(x + i);
#endif
#pragma unroll
    for (int j = 0; j < V; ++j) {
#ifdef FB_ALIGNED
      s[j] = live && i < to ? Fold::of(convert<T>(pack.v[j]), i + j) : Fold::none();
#else
      s[j] = live && i + j < to ? Fold::of(convert<T>(x[i + j]), i + j) : Fold::none();
#endif
      if (j) s[j] = Fold::join(s[j - 1], s[j]);
    }
    const State all = scan_row(s[V - 1], before);
    before = Fold::join(carry, before);
    carry = Fold::join(carry, all);
    if (!g.y || !live) continue;
#ifdef FB_ALIGNED
    if (i < to) {
      Pack<O, V> out;
#pragma unroll
      for (int j = 0; j < V; ++j) {
        s[j] = Fold::join(before, s[j]);
        out.v[j] = convert<O>(Fold::value(s[j]));
      }
      *(Pack<O, V>*)(g.y + r * g.n + i) = out;
    }
#else
#pragma unroll
    for (int j = 0; j < V; ++j)
      if (i + j < to) store(g, r * g.n + i + j, Fold::join(before, s[j]));
#endif
  }
  if (!g.y && live && threadIdx.x == 0) totals[blockIdx.y] = carry;
}
#else
extern "C" __global__ void __launch_bounds__(256) scan(Scan g) {
  const i64 c = (i64)blockIdx.x * blockDim.x + threadIdx.x, columns = g.rows * g.inner;
  if (c >= columns) return;
  const i64 from = blockIdx.y * g.length, to = min(from + g.length, g.n);
  const i64 first = c / g.inner * g.n * g.inner + c % g.inner;
  State* totals = (State*)g.totals;
  State s = Fold::none();
  if (g.totals && g.y)
    for (i64 k = 0; k < blockIdx.y; ++k) s = Fold::join(s, totals[k * columns + c]);
#pragma unroll 4
  for (i64 i = from; i < to; ++i) {
    s = Fold::join(s, Fold::of(convert<T>(g.x[first + i * g.inner]), i));
    if (g.y) store(g, first + i * g.inner, s);
  }
  if (!g.y) totals[blockIdx.y * columns + c] = s;
}
#endif
