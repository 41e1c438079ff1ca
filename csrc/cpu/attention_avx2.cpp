// Attention's chunks for AVX2.
#if defined(__AVX2__)
#define FLAMBEAU_ISA avx2
#include "attention_impl.h"
#else
#include "attention.h"
namespace flambeau::avx2 {
template<class T>
const AttentionKernels<T>* attention_kernels() {
  return nullptr;
}
template const AttentionKernels<float>* attention_kernels<float>();
template const AttentionKernels<double>* attention_kernels<double>();
} // namespace flambeau::avx2
#endif
