// The folds of the reductions: how a state begins, takes in elements of type T, is joined with
// another of later elements, and ends.
//! needs: types.cuh
#pragma once

// Folds whose state is one number. N elements are joined pairwise before the state takes them.
template<class F, class T, class A>
struct NumberFold {
  using State = A;
  template<int N>
  static void take(A& s, const T* v, i64, i64) {
    A t[N];
#pragma unroll
    for (int j = 0; j < N; ++j) t[j] = F::map(v[j]);
#pragma unroll
    for (int d = 1; d < N; d *= 2)
#pragma unroll
      for (int j = 0; j + d < N; j += 2 * d) t[j] = F::join(t[j], t[j + d]);
    s = F::join(s, t[0]);
  }
  static A map(T x) { return A(x); }
  static A end(A s, double) { return s; }
};

template<class T>
using SumState = std::conditional_t<std::is_same_v<T, bool>, i64, T>;
template<class F, class T>
struct SumOf : NumberFold<F, T, SumState<T>> {
  using A = SumState<T>;
  static A identity() { return A(0); }
  static A join(A a, A b) { return a + b; }
};
template<class T>
struct Sum : SumOf<Sum<T>, T> {};
template<class T>
struct Mean : SumOf<Mean<T>, T> {
  static T end(T s, double p) {
    if constexpr (is_complex_v<T>)
      return s / typename T::value_type(p);
    else
      return s / T(p);
  }
};
template<class T>
struct NanSum : SumOf<NanSum<T>, T> {
  static T map(T x) { return x == x ? x : T(0); }
};
template<class T>
struct Norm0 : SumOf<Norm0<T>, T> {
  static T map(T x) { return T(x != T(0)); }
};
template<class T>
struct Norm1 : SumOf<Norm1<T>, T> {
  static T map(T x) { return std::fabs(x); }
};
template<class T>
struct Norm2 : SumOf<Norm2<T>, T> {
  static T map(T x) { return x * x; }
  static T end(T s, double) { return std::sqrt(s); }
};
template<class T>
struct Prod : NumberFold<Prod<T>, T, T> {
  static T identity() { return T(1); }
  static T join(T a, T b) { return a * b; }
};

template<class T>
__forceinline__ constexpr T lowest() {
  if constexpr (std::is_floating_point_v<T>)
    return -std::numeric_limits<T>::infinity();
  else
    return std::numeric_limits<T>::lowest();
}
template<class T>
__forceinline__ constexpr T highest() {
  if constexpr (std::is_floating_point_v<T>)
    return std::numeric_limits<T>::infinity();
  else
    return std::numeric_limits<T>::max();
}
// Whether b takes the place of a; a NaN wins.
template<bool largest, class T>
__forceinline__ bool beats(T b, T a) {
  return (largest ? b > a : b < a) || b != b;
}
template<bool largest, class F, class T>
struct ExtremeOf : NumberFold<F, T, T> {
  static T identity() { return largest ? lowest<T>() : highest<T>(); }
  static T join(T a, T b) { return beats<largest>(b, a) ? b : a; }
};
template<class T>
struct Max : ExtremeOf<true, Max<T>, T> {};
template<class T>
struct Min : ExtremeOf<false, Min<T>, T> {};
template<class T>
struct NormMax : ExtremeOf<true, NormMax<T>, T> {
  static T map(T x) { return std::fabs(x); }
};
template<class T>
struct NormMin : ExtremeOf<false, NormMin<T>, T> {
  static T map(T x) { return std::fabs(x); }
};
template<class T>
struct Any : NumberFold<Any<T>, T, int> {
  static int identity() { return 0; }
  static int map(T x) { return x != T(0); }
  static int join(int a, int b) { return a | b; }
  static bool end(int s, double) { return s != 0; }
};
template<class T>
struct All : NumberFold<All<T>, T, int> {
  static int identity() { return 1; }
  static int map(T x) { return x != T(0); }
  static int join(int a, int b) { return a & b; }
  static bool end(int s, double) { return s != 0; }
};

// An extreme and where it is; the first of equal ones, and of NaNs.
template<bool largest, class T>
struct ExtremeAt {
  struct State {
    T value;
    i64 at;
  };
  static State identity() {
    return {largest ? lowest<T>() : highest<T>(), std::numeric_limits<i64>::max()};
  }
  static State join(State a, State b) {
    const bool same = a.value == b.value || (a.value != a.value && b.value != b.value);
    return (same ? b.at < a.at : beats<largest>(b.value, a.value) && a.value == a.value) ? b : a;
  }
  template<int N>
  static void take(State& s, const T* v, i64 at, i64 step) {
#pragma unroll
    for (int j = 0; j < N; ++j) s = join(s, {v[j], at + j * step});
  }
  static T end(State s, double) { return s.value; }
  static i64 second(State s) { return s.at; }
};
template<class T>
using MaxAt = ExtremeAt<true, T>;
template<class T>
using MinAt = ExtremeAt<false, T>;

// Count, mean and squared deviations from it, joined by Chan, Golub and LeVeque (1979).
template<class T>
struct Moments {
  T n, mean, m2;
};
template<class T>
__forceinline__ Moments<T> join_moments(Moments<T> a, Moments<T> b) {
  if (b.n == T(0)) return a;
  if (a.n == T(0)) return b;
  const T all = a.n + b.n, d = b.mean - a.mean, share = b.n / all;
  return {all, a.mean + d * share, a.m2 + b.m2 + d * d * a.n * share};
}
template<class T>
struct Var {
  using State = Moments<T>;
  static State identity() { return {T(0), T(0), T(0)}; }
  static State join(State a, State b) { return join_moments(a, b); }
  template<int N>
  static void take(State& s, const T* v, i64, i64) {
    T sum = v[0], m2 = T(0);
#pragma unroll
    for (int j = 1; j < N; ++j) sum += v[j];
    const T mean = sum / T(N);
#pragma unroll
    for (int j = 0; j < N; ++j) m2 += N > 1 ? (v[j] - mean) * (v[j] - mean) : T(0);
    s = join(s, {T(N), mean, m2});
  }
  static T end(State s, double p) { // p: what is taken off the count
    const T n = s.n - T(p);
    return s.m2 / (n > T(0) ? n : T(0));
  }
  static T second(State s) { return s.n == T(0) ? T(NAN) : s.mean; }
};
template<class T>
struct Std : Var<T> {
  static T end(Moments<T> s, double p) { return std::sqrt(Var<T>::end(s, p)); }
};
