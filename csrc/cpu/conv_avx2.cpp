// Convolution kernels for AVX2.
#if defined(__AVX2__)
#define FLAMBEAU_ISA avx2
#include "conv_impl.h"
#include "conv_winograd_impl.h"
#else
#include "conv_kernels.h"
#include "conv_winograd.h"
namespace flambeau::avx2 {
template<class T>
const ConvKernels<T>* conv_table() {
  return nullptr;
}
template const ConvKernels<float>* conv_table<float>();
template const ConvKernels<double>* conv_table<double>();
const WinogradKernels* winograd_table() { return nullptr; }
} // namespace flambeau::avx2
#endif
