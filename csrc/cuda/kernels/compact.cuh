// Where a mask is true, in order: flags are counted by tile, the counts summed, and each tile
// then writes from where the tiles before it end. Defined in front: FB_T, the element type of
// masked_scatter.
//! needs: types.cuh fault.cuh block_scan.cuh

typedef FB_T T;

// The 16 flags of a thread as bits; a tile is those of a block.
__forceinline__ unsigned flags_of(const uint8_t* mask, i64 n, i64& first) {
  first = ((i64)blockIdx.x * 256 + threadIdx.x) * 16;
  if (first + 16 <= n) {
    const uint4 w = *(const uint4*)(mask + first);
    constexpr unsigned gather = 0x01020408; // the low bits of four bytes to the top byte
    return (w.x * gather >> 24 & 15) | (w.y * gather >> 24 & 15) << 4 |
           (w.z * gather >> 24 & 15) << 8 | (w.w * gather >> 24 & 15) << 12;
  }
  unsigned bits = 0;
  for (int k = 0; k < 16 && first + k < n; ++k) bits |= (mask[first + k] ? 1u : 0u) << k;
  return bits;
}

extern "C" __global__ void __launch_bounds__(256)
    count_flags(const uint8_t* mask, i64 n, i64* counts) {
  i64 first;
  unsigned total;
  block_exclusive(__popc(flags_of(mask, n, first)), total);
  if (threadIdx.x == 0) counts[blockIdx.x] = total;
}

// counts[i] becomes the sum of those before it, counts[m] that of all; one block.
extern "C" __global__ void __launch_bounds__(256) scan_counts(i64* counts, i64 m) {
  i64 carry = 0;
  for (i64 tile = 0; tile < m; tile += 256 * 8) {
    const i64 first = tile + threadIdx.x * 8;
    unsigned v[8], sum = 0, total;
#pragma unroll
    for (int k = 0; k < 8; ++k) {
      v[k] = first + k < m ? (unsigned)counts[first + k] : 0;
      sum += v[k];
    }
    i64 at = carry + block_exclusive(sum, total);
#pragma unroll
    for (int k = 0; k < 8; ++k) {
      if (first + k < m) counts[first + k] = at;
      at += v[k];
    }
    carry += total;
  }
  if (threadIdx.x == 0) counts[m] = carry;
}

extern "C" __global__ void __launch_bounds__(256)
    write_positions(const uint8_t* mask, i64 n, const i64* before, i64* out) {
  i64 first;
  unsigned total;
  const unsigned bits = flags_of(mask, n, first);
  i64 at = before[blockIdx.x] + block_exclusive(__popc(bits), total);
  for (unsigned left = bits; left; left &= left - 1) out[at++] = first + __ffs(left) - 1;
}

extern "C" __global__ void __launch_bounds__(256)
    masked_scatter(const uint8_t* mask, i64 n, const i64* before, T* out, const T* x,
                   const T* source, i64 size, Watch watch) {
  i64 first;
  unsigned total;
  const unsigned bits = flags_of(mask, n, first);
  i64 at = before[blockIdx.x] + block_exclusive(__popc(bits), total);
  for (int k = 0; k < 16 && first + k < n; ++k) {
    const bool take = bits >> k & 1 && !out_of_range(watch, at, size);
    out[first + k] = take ? source[at] : x[first + k];
    at += bits >> k & 1;
  }
}

struct Sizes {
  int dims;
  i64 size[32];
};

// out[d][k]: the d-th coordinate of position k.
extern "C" __global__ void __launch_bounds__(256)
    unravel(i64* out, const i64* positions, i64 n, Sizes sizes) {
  for (i64 k = (i64)blockIdx.x * 256 + threadIdx.x; k < n; k += gridDim.x * 256ll) {
    i64 left = positions[k];
    for (int d = sizes.dims - 1; d >= 0; --d) {
      const i64 size = sizes.size[d];
      const bool small = !((left | size) >> 32);
      const i64 q = small ? (i64)((unsigned)left / (unsigned)size) : left / size;
      out[d * n + k] = left - q * size;
      left = q;
    }
  }
}
