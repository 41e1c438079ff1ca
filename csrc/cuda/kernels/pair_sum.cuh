// The sum of a loss of pairs, by parts, one a block.
//
// Defined in front: FB_STORED, FB_COMPUTE, FB_PACK, and FB_VALUE, the loss over a, b and P(0).
//! needs: types.cuh group.cuh folds.cuh

using S = FB_STORED;
using T = FB_COMPUTE;
constexpr int V = FB_PACK;
#define P(i) T(p)

extern "C" __global__ void __launch_bounds__(256)
    pair_sum(T* parts, const S* x, const S* y, i64 n, double p) {
  T sum = T(0);
  for (i64 i = (i64)blockIdx.x * 256 + threadIdx.x; i < n; i += (i64)gridDim.x * 256) {
    const Pack<S, V> px = ((const Pack<S, V>*)x)[i], py = ((const Pack<S, V>*)y)[i];
#pragma unroll
    for (int j = 0; j < V; ++j) {
      const T a = convert<T>(px.v[j]), b = convert<T>(py.v[j]);
      sum += FB_VALUE;
    }
  }
  sum = fold_to_first<Sum<T>>(sum);
  if (threadIdx.x == 0) parts[blockIdx.x] = sum;
}
