// Recurrent cells for AVX-512.
#if defined(__AVX512F__)
#define FLAMBEAU_ISA avx512
#include "recurrent_impl.h"
#else
#include "recurrent.h"
namespace flambeau::avx512 {
template<class T>
const CellKernels<T>* cell_kernels() {
  return nullptr;
}
template const CellKernels<float>* cell_kernels<float>();
template const CellKernels<double>* cell_kernels<double>();
} // namespace flambeau::avx512
#endif
