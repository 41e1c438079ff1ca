// Matrix product kernels for AVX-512.
#if defined(__AVX512F__)
#define FLAMBEAU_ISA avx512
#include "gemm_impl.h"
#else
#include "gemm_kernels.h"
namespace flambeau::avx512 {
template<class T>
const GemmKernels<T>* gemm_table() {
  return nullptr;
}
template<class U>
const IntegerKernel<U>* integer_table() {
  return nullptr;
}
template const IntegerKernel<uint16_t>* integer_table<uint16_t>();
template const IntegerKernel<uint32_t>* integer_table<uint32_t>();
template const IntegerKernel<uint64_t>* integer_table<uint64_t>();
template const GemmKernels<float>* gemm_table<float>();
template const GemmKernels<double>* gemm_table<double>();
} // namespace flambeau::avx512
#endif
