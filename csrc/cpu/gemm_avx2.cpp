// Matrix product kernels for AVX2 and FMA.
#if defined(__AVX2__)
#define FLAMBEAU_ISA avx2
#include "gemm_impl.h"
#else
#include "gemm_kernels.h"
namespace flambeau::avx2 {
template<class T>
const GemmKernels<T>* gemm_table() {
  return nullptr;
}
template const GemmKernels<float>* gemm_table<float>();
template const GemmKernels<double>* gemm_table<double>();
} // namespace flambeau::avx2
#endif
