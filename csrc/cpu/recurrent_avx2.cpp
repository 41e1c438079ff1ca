// Recurrent cells for AVX2.
#if defined(__AVX2__)
#define FLAMBEAU_ISA avx2
#include "recurrent_impl.h"
#else
#include "recurrent.h"
namespace flambeau::avx2 {
template<class T>
const CellKernels<T>* cell_kernels() {
  return nullptr;
}
template const CellKernels<float>* cell_kernels<float>();
template const CellKernels<double>* cell_kernels<double>();
} // namespace flambeau::avx2
#endif
