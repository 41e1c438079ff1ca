// Row kernels of pooling for AVX2.
#if defined(__AVX2__)
#define FLAMBEAU_ISA avx2
#include "pool_impl.h"
#else
#include "pool_kernels.h"
namespace flambeau::avx2 {
template<class T>
const PoolRows<T>* pool_rows() {
  return nullptr;
}
template const PoolRows<float>* pool_rows<float>();
template const PoolRows<double>* pool_rows<double>();
} // namespace flambeau::avx2
#endif
