// Row kernels of pooling for AVX-512.
#if defined(__AVX512F__)
#define FLAMBEAU_ISA avx512
#include "pool_impl.h"
#else
#include "pool_kernels.h"
namespace flambeau::avx512 {
template<class T>
const PoolRows<T>* pool_rows() {
  return nullptr;
}
template const PoolRows<float>* pool_rows<float>();
template const PoolRows<double>* pool_rows<double>();
} // namespace flambeau::avx512
#endif
