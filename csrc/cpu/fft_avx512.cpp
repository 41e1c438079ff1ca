// Fourier transform kernels for AVX-512.
#if defined(__AVX512F__)
#define FLAMBEAU_ISA avx512
#include "fft_impl.h"
#else
#include "fft_kernels.h"
namespace flambeau::avx512 {
template<class T>
const FftKernels<T>* fft_table() {
  return nullptr;
}
template const FftKernels<float>* fft_table<float>();
template const FftKernels<double>* fft_table<double>();
} // namespace flambeau::avx512
#endif
