// Fourier transform kernels for AVX2.
#if defined(__AVX2__)
#define FLAMBEAU_ISA avx2
#include "fft_impl.h"
#else
#include "fft_kernels.h"
namespace flambeau::avx2 {
template<class T>
const FftKernels<T>* fft_table() {
  return nullptr;
}
template const FftKernels<float>* fft_table<float>();
template const FftKernels<double>* fft_table<double>();
} // namespace flambeau::avx2
#endif
