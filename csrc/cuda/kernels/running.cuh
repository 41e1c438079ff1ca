// The sum of exponentials of a row, kept in range by the row's largest element so far.
//! needs: types.cuh
#pragma once

template<class T>
struct Largest { // a NaN wins
  static T join(T a, T b) { return b > a || b != b ? b : a; }
};
template<class T>
struct Running {
  T top, sum; // sum of exp(x - top)
  static Running none() { return {-T(INFINITY), T(0)}; }
  static Running join(Running a, Running b) {
    const T top = Largest<T>::join(a.top, b.top);
    const T left = a.top == top ? a.sum : a.sum * exp(a.top - top);
    const T right = b.top == top ? b.sum : b.sum * exp(b.top - top);
    return {top, left + right};
  }
  void take(T x) {
    if (x == -T(INFINITY)) return; // adds nothing, and -inf - -inf is NaN
    if (x > top || x != x) {
      sum *= exp(top - x);
      top = x;
    }
    sum += exp(x - top);
  }
  T logarithm() const { return top - top == T(0) ? top + log(sum) : top; }
};
