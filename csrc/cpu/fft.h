// Discrete Fourier transforms along one dimension, on raw contiguous pointers.
#pragma once

#include <cstdint>

namespace flambeau {

// (outer, n, inner) is transformed along n, the number of points in time. A half spectrum has
// n / 2 + 1 points. Complex numbers are pairs (re, im).
struct FftShape {
  int64_t outer, n, inner;
  bool inverse; // the sign of the exponent
  double scale;
};

enum class FftKind {
  kComplex,  // complex to complex; y may be x
  kFromReal, // real to half spectrum, forward
  kToReal,   // half spectrum to real, inverse; imaginary parts that must be zero are not read
};

template<class T> // float or double
void fft(FftKind kind, const FftShape& shape, const T* x, T* y);

} // namespace flambeau
