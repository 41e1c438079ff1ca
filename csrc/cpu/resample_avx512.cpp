// Row kernels of resizing for AVX-512.
#if defined(__AVX512F__)
#define FLAMBEAU_ISA avx512
#include "resample_impl.h"
#else
#include "resample.h"
namespace flambeau::avx512 {
template<class T>
const ResampleRows<T>* resample_rows() {
  return nullptr;
}
template const ResampleRows<float>* resample_rows<float>();
template const ResampleRows<double>* resample_rows<double>();
const PairKernels* pair_kernels() { return nullptr; }
} // namespace flambeau::avx512
#endif
