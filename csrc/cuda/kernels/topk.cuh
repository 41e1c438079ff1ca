// The k best of each long row, in the order in which they stand there: the key of the k-th is
// found a byte at a time from the top, then what is better is collected, and of its equals the
// first. A block for each row. Defined in front: FB_T.
//! needs: types.cuh sort_keys.cuh block_scan.cuh

typedef FB_T T;
typedef KeyOf<T> K;

constexpr int kThreads = 1024;

extern "C" __global__ void __launch_bounds__(1024)
    topk(const T* rows, i64 n, unsigned k, int largest, T* value, unsigned* place) {
  __shared__ unsigned count[256];
  __shared__ unsigned chosen, left;
  constexpr int bits = 8 * sizeof(T);
  const K all = K(~0ull >> (64 - bits)), flip = largest ? all : K(0);
  const T* x = rows + blockIdx.x * n;
  const unsigned t = threadIdx.x, lane = t & 31;

  K limit = 0;         // the k-th key, as far as it is known
  unsigned wanted = k; // of those that agree with it so far
  for (int shift = bits - 8; shift >= 0; shift -= 8) {
    if (t < 256) count[t] = 0;
    __syncthreads();
    for (i64 first = 0; first < n; first += kThreads) {
      const i64 i = first + t;
      unsigned digit = 256;
      if (i < n) {
        const K key = key_of(x[i]) ^ flip;
        const bool agrees = shift == bits - 8 || (key ^ limit) >> (shift + 8 & (bits - 1)) == 0;
        if (agrees) digit = (unsigned)(key >> shift) & 255;
      }
      // The leading digits of numbers are few: a warp adds what it has of one at once.
      const unsigned same = __match_any_sync(~0u, digit);
      if (digit < 256 && !(same & ((1u << lane) - 1))) atomicAdd(&count[digit], __popc(same));
    }
    __syncthreads();
    if (t < 32) {
      unsigned mine = 0, sum;
      for (int d = 0; d < 8; ++d) mine += count[lane * 8 + d];
      sum = mine;
      for (unsigned d = 1; d < 32; d *= 2) {
        const unsigned u = __shfl_up_sync(~0u, sum, d);
        if (lane >= d) sum += u;
      }
      unsigned before = sum - mine;
      for (int d = 0; d < 8; ++d) {
        const unsigned c = count[lane * 8 + d];
        if (before < wanted && wanted <= before + c) {
          chosen = lane * 8 + d;
          left = wanted - before;
        }
        before += c;
      }
    }
    __syncthreads();
    limit |= (K)chosen << shift;
    wanted = left;
  }

  unsigned better = 0, equal = 0; // collected so far; of equal ones seen
  for (i64 first = 0; first < n && better + equal < k; first += kThreads) {
    const i64 i = first + t;
    T v = {};
    bool is_better = false, is_equal = false;
    if (i < n) {
      v = x[i];
      const K key = key_of(v) ^ flip;
      is_better = key < limit;
      is_equal = key == limit;
    }
    unsigned total;
    // Two counts, in the halves of the word.
    const unsigned both = is_better | (unsigned)is_equal << 16;
    const unsigned before = block_exclusive<kThreads / 32>(both, total);
    const unsigned rank = equal + (before >> 16), earlier = rank < wanted ? rank : wanted;
    if (is_better || (is_equal && rank < wanted)) {
      const i64 to = blockIdx.x * (i64)k + better + (before & 0xffff) + earlier;
      value[to] = v;
      place[to] = (unsigned)i;
    }
    better += total & 0xffff;
    equal += total >> 16;
    equal = equal < wanted ? equal : wanted;
  }
}
