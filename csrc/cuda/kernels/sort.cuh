// Short rows sorted in shared memory, several to a block when they are very short: a bitonic
// network (Batcher 1968) over keys and places, which makes it stable. Defined in front: FB_T.
//! needs: types.cuh sort_keys.cuh

typedef FB_T T;
typedef KeyOf<T> K;

// width: the power of two that holds a row of n; span: the elements of a block, a multiple of it;
// down: the largest first; from: what stands for the places, if not null.
extern "C" __global__ void __launch_bounds__(256)
    sort_short(const T* x, i64 rows, int n, int width, int span, int keep, int down,
               const unsigned* from, T* values, i64* places) {
  extern __shared__ unsigned long long memory[];
  K* key = (K*)memory;
  unsigned short* place = (unsigned short*)(key + span);
  const i64 row = (i64)blockIdx.x * (span / width);
  for (int e = threadIdx.x; e < span; e += 256) {
    const int c = e & (width - 1);
    const i64 r = row + e / width;
    const bool real = r < rows && c < n;
    constexpr K all = K(~0ull >> (64 - 8 * sizeof(T)));
    const K flip = down ? all : K(0);
    key[e] = real ? key_of(x[r * n + c]) ^ flip : ~K(0); // places keep the rest behind a row's end
    place[e] = (unsigned short)c;
  }
  for (int size = 2; size <= width; size *= 2)
    for (int stride = size / 2; stride; stride /= 2) {
      __syncthreads();
      for (int p = threadIdx.x; p < span / 2; p += 256) {
        const int i = 2 * p - (p & (stride - 1)), j = i + stride;
        const bool up = (i & (width - 1) & size) == 0;
        const K a = key[i], b = key[j];
        const unsigned short at = place[i], bt = place[j];
        if ((a > b || (a == b && at > bt)) == up) {
          key[i] = b;
          key[j] = a;
          place[i] = bt;
          place[j] = at;
        }
      }
    }
  __syncthreads();
  for (int e = threadIdx.x; e < span; e += 256) {
    const int c = e & (width - 1);
    const i64 r = row + e / width;
    if (r >= rows || c >= keep) continue;
    values[r * keep + c] = x[r * n + place[e]];
    places[r * keep + c] = from ? from[r * n + place[e]] : place[e];
  }
}
