// Long rows sorted by 8 bits at a time, least significant first: tiles count their digits, the
// counts are summed along each row's tiles, and each tile then sends its elements, in order, to
// where they belong. Defined in front: FB_T. flip: 255 for the largest first, else 0.
//! needs: types.cuh sort_keys.cuh block_scan.cuh

typedef FB_T T;
typedef KeyOf<T> K;

constexpr int kItems = sizeof(T) == 8 ? 8 : 16, kTile = 256 * kItems; // as in sort.cpp

__forceinline__ unsigned digit_of(T v, int shift, unsigned flip) {
  return ((unsigned)(key_of(v) >> shift) & 255) ^ flip;
}

// counts[row][digit][tile]; grid: rows * tiles
extern "C" __global__ void __launch_bounds__(256)
    radix_count(const T* x, i64 n, int tiles, int shift, unsigned flip, unsigned* counts) {
  __shared__ unsigned count[256];
  const i64 row = blockIdx.x / tiles;
  const int tile = blockIdx.x % tiles;
  count[threadIdx.x] = 0;
  __syncthreads();
  const i64 first = (i64)tile * kTile + threadIdx.x;
#pragma unroll
  for (int k = 0; k < kItems; ++k)
    if (first + k * 256 < n)
      atomicAdd(&count[digit_of(x[row * n + first + k * 256], shift, flip)], 1u);
  __syncthreads();
  counts[(row * 256 + threadIdx.x) * tiles + tile] = count[threadIdx.x];
}

// Each row's counts of a digit become the sums over the tiles before, and totals[row][digit]
// their sum; a warp for each.
extern "C" __global__ void __launch_bounds__(256)
    radix_scan(unsigned* counts, i64 tiles, unsigned* totals) {
  const i64 at = (i64)blockIdx.x * 8 + threadIdx.x / 32;
  const unsigned lane = threadIdx.x & 31;
  unsigned* c = counts + at * tiles;
  unsigned carry = 0;
  for (i64 first = 0; first < tiles; first += 128) {
    unsigned v[4], sum = 0;
    const i64 mine = first + lane * 4;
#pragma unroll
    for (int k = 0; k < 4; ++k) {
      v[k] = mine + k < tiles ? c[mine + k] : 0;
      sum += v[k];
    }
    unsigned s = sum;
#pragma unroll
    for (unsigned d = 1; d < 32; d *= 2) {
      const unsigned u = __shfl_up_sync(~0u, s, d);
      if (lane >= d) s += u;
    }
    unsigned before = carry + s - sum;
#pragma unroll
    for (int k = 0; k < 4; ++k) {
      if (mine + k < tiles) c[mine + k] = before;
      before += v[k];
    }
    carry += __shfl_sync(~0u, s, 31);
  }
  if (lane == 0) totals[at] = carry;
}

// from: null in the first pass, when places are as they are; last: the result's places, in the
// last pass, of which only `keep` of a row are wanted, instead of `places`.
extern "C" __global__ void __launch_bounds__(256)
    radix_move(const T* x, const unsigned* from, i64 n, int tiles, int shift, unsigned flip,
               const unsigned* counts, const unsigned* totals, T* values, unsigned* places,
               i64* last, i64 keep) {
  __shared__ unsigned rank[8][256]; // by warp and digit: elements before, then where they go
  __shared__ unsigned base[256];    // of a digit: from places in the tile to places in the row
  __shared__ T value[kTile];
  __shared__ unsigned place[kTile];
  const i64 row = blockIdx.x / tiles;
  const int tile = blockIdx.x % tiles, t = threadIdx.x, warp = t / 32, lane = t & 31;
#pragma unroll
  for (int w = 0; w < 8; ++w) rank[w][t] = 0;
  __syncthreads();

  // A warp's elements follow each other; those of one digit count those before them.
  const i64 first = (i64)tile * kTile + warp * 32 * kItems + lane;
  T v[kItems];
  unsigned before[kItems];
#pragma unroll
  for (int k = 0; k < kItems; ++k) {
    const bool real = first + k * 32 < n;
    unsigned digit = 256;
    if (real) {
      v[k] = x[row * n + first + k * 32];
      digit = digit_of(v[k], shift, flip);
    }
    const unsigned same = __match_any_sync(~0u, digit), lower = same & ((1u << lane) - 1);
    const unsigned seen = real ? rank[warp][digit] : 0;
    before[k] = seen + __popc(lower);
    __syncwarp();
    if (real && !lower) rank[warp][digit] = seen + __popc(same);
    __syncwarp();
  }
  __syncthreads();

  unsigned mine = 0, all, everything;
  for (int w = 0; w < 8; ++w) mine += rank[w][t];
  unsigned start = block_exclusive(mine, all);
  const i64 at = row * 256 + t;
  base[t] = block_exclusive(totals[at], everything) + counts[at * tiles + tile] - start;
  for (int w = 0; w < 8; ++w) {
    const unsigned c = rank[w][t];
    rank[w][t] = start;
    start += c;
  }
  __syncthreads();

  // Put in order within the tile first, so that neighbours are written to neighbours.
#pragma unroll
  for (int k = 0; k < kItems; ++k) {
    const i64 i = first + k * 32;
    if (i >= n) continue;
    const unsigned to = rank[warp][digit_of(v[k], shift, flip)] + before[k];
    value[to] = v[k];
    place[to] = from ? from[row * n + i] : (unsigned)i;
  }
  __syncthreads();
  for (unsigned e = t; e < all; e += 256) {
    const T u = value[e];
    const unsigned to = base[digit_of(u, shift, flip)] + e;
    if (to >= keep) continue;
    values[row * keep + to] = u;
    if (last)
      last[row * keep + to] = place[e];
    else
      places[row * keep + to] = place[e];
  }
}
