// Convolution kernels for AVX-512.
#if defined(__AVX512F__)
#define FLAMBEAU_ISA avx512
#include "conv_impl.h"
#include "conv_winograd_impl.h"
#else
#include "conv_kernels.h"
#include "conv_winograd.h"
namespace flambeau::avx512 {
template<class T>
const ConvKernels<T>* conv_table() {
  return nullptr;
}
template const ConvKernels<float>* conv_table<float>();
template const ConvKernels<double>* conv_table<double>();
const WinogradKernels* winograd_table() { return nullptr; }
} // namespace flambeau::avx512
#endif
