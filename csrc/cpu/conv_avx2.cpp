// Convolution kernels for AVX2.
#if defined(__AVX2__)
#define FLAMBEAU_ISA avx2
#include "conv_impl.h"
#else
#include "conv_kernels.h"
namespace flambeau::avx2 {
template<class T>
const ConvKernels<T>* conv_table() {
  return nullptr;
}
template const ConvKernels<float>* conv_table<float>();
template const ConvKernels<double>* conv_table<double>();
} // namespace flambeau::avx2
#endif
