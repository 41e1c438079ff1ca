// Attention's chunks for AVX-512.
#if defined(__AVX512F__)
#define FLAMBEAU_ISA avx512
#include "attention_impl.h"
#else
#include "attention.h"
namespace flambeau::avx512 {
template<class T>
const AttentionKernels<T>* attention_kernels() {
  return nullptr;
}
template const AttentionKernels<float>* attention_kernels<float>();
template const AttentionKernels<double>* attention_kernels<double>();
} // namespace flambeau::avx512
#endif
