// The table of inner kernels of the Fourier transforms, one per instruction set.
#pragma once

#include <cstdint>
#include <vector>

namespace flambeau {

constexpr int kFftRadix = 127; // the largest prime factor that has a butterfly

// One pass over n = radix * m * s points: a sum over `radix` of them, then a twist.
template<class T>
struct FftStage {
  int64_t radix, m, s;
  std::vector<T> twist; // [p][k - 1][re, im] of e^(-2 pi i p k / (radix * m)), p < m, k < radix
  std::vector<T> roots; // [cos, sin](2 pi j / radix), of an odd radix
};

// Steps in the caller's memory, counted in real numbers: between the points of a transform, between
// transforms, and from a real part to its imaginary part (0: there is none).
struct FftSteps {
  int64_t point, lane, imag;
};

// As many transforms side by side as a vector has lanes. A point is a vector of real parts and, at
// x + lanes, one of imaginary parts.
template<class T>
struct FftKernels {
  int lanes;
  void (*load)(int64_t n, int lanes, const T* src, FftSteps steps, T* x);
  void (*store)(int64_t n, int lanes, const T* x, FftSteps steps, T* dst);
  void (*scale)(int64_t n, T by, T* x);
  // Returns x or y, whichever holds the result.
  T* (*transform)(const std::vector<FftStage<T>>& stages, bool inverse, T* x, T* y);
  // x *= factors, which are points as well, or their conjugates.
  void (*twist)(int64_t n, const T* factors, bool conjugate, T* x);
  // The spectrum of 2m real numbers, m + 1 points, from that of m pairs of them, and back (times
  // 2m). roots: [re, im] of e^(-pi i k / m).
  void (*unpair)(int64_t m, const T* roots, T* x);
  void (*pair)(int64_t m, const T* roots, T* x);
};

template<class T>
const FftKernels<T>& fft_kernels();

namespace base {
template<class T>
const FftKernels<T>* fft_table();
}
namespace avx2 {
template<class T>
const FftKernels<T>* fft_table();
}
namespace avx512 {
template<class T>
const FftKernels<T>* fft_table();
}

} // namespace flambeau
