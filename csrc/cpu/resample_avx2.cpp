// Row kernels of resizing for AVX2.
#if defined(__AVX2__)
#define FLAMBEAU_ISA avx2
#include "resample_impl.h"
#else
#include "resample.h"
namespace flambeau::avx2 {
template<class T>
const ResampleRows<T>* resample_rows() {
  return nullptr;
}
template const ResampleRows<float>* resample_rows<float>();
template const ResampleRows<double>* resample_rows<double>();
const PairKernels* pair_kernels() { return nullptr; }
} // namespace flambeau::avx2
#endif
