// Scaled dot-product attention of 16-bit floats in one pass over the keys, by tensor cores: the
// softmax is corrected as larger scores appear (Milakov and Gimelshein 2018; Dao et al. 2022).
//
// Defined in front: FB_T (f16, bf16) and FB_MMA, its name in instructions; FB_E, FB_EV, the sizes
// of keys and values, rounded up to 16; FB_MASK: 0 none, 1 causal, 2 of bool (false: masked out),
// 3 of FB_T, to be added.
//! needs: types.cuh

constexpr int kThreads = 256, kRows = 128, kKeys = 64; // of a block, of a step
constexpr float kLog2E = 1.44269504f;

struct Attention {
  const FB_T *q, *k, *v;
  const void* mask;
  FB_T* out; // dense
  i64 q_batch, q_head, q_row, k_batch, k_head, k_row, v_batch, v_head, v_row;
  i64 mask_batch, mask_head, mask_row, mask_key;
  int heads, group; // query heads, and how many of them share a key head
  int rows, keys, e, ev, tiles;
  float scale;
};

// c (16 x 8) += a (16 x 16) @ b (16 x 8). Lane l holds rows l / 4 and l / 4 + 8 of a and c, column
// l / 4 of b, and there, in pairs, columns (rows of b) 2 (l % 4) and, in a and b, those 8 further.
__device__ __forceinline__ void multiply(float (&c)[4], const uint32_t (&a)[4], uint32_t b0,
                                         uint32_t b1) {
  asm volatile("mma.sync.aligned.m16n8k16.row.col.f32." FB_MMA "." FB_MMA
               ".f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
               : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
               : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}
__device__ __forceinline__ uint32_t pair(float low, float high) {
  uint32_t r;
  asm("cvt.rn." FB_MMA "x2.f32 %0, %1, %2;" : "=r"(r) : "f"(high), "f"(low));
  return r;
}
// Over the four lanes that share a row.
__device__ __forceinline__ float row_max(float x) {
  x = fmaxf(x, __shfl_xor_sync(~0u, x, 1));
  return fmaxf(x, __shfl_xor_sync(~0u, x, 2));
}
__device__ __forceinline__ float row_sum(float x) {
  x += __shfl_xor_sync(~0u, x, 1);
  return x + __shfl_xor_sync(~0u, x, 2);
}

// Keys first .. first + kKeys as they lie, zeros behind the last.
__device__ __forceinline__ void load_keys(uint32_t (*tile)[FB_E / 2 + 4], const FB_T* k, i64 row,
                                          int first, int keys, int e) {
  for (int i = threadIdx.x; i < kKeys * FB_E / 8; i += kThreads) {
    const int key = i / (FB_E / 8), c = i % (FB_E / 8);
    const bool inside = first + key < keys && c * 8 < e;
    const FB_T* from = k + (first + key) * row + c * 8;
    *(uint4*)&tile[key][c * 4] = inside ? *(const uint4*)from : uint4{};
  }
}
// Values, with those of keys 2 i and 2 i + 1 side by side in one word.
__device__ __forceinline__ void load_values(uint32_t (*tile)[FB_EV + 8], const FB_T* v, i64 row,
                                            int first, int keys, int ev) {
  for (int i = threadIdx.x; i < kKeys / 2 * FB_EV / 8; i += kThreads) {
    const int p = i / (FB_EV / 8), c = i % (FB_EV / 8), key = first + 2 * p;
    const FB_T* from = v + key * row + c * 8;
    const bool inside = c * 8 < ev;
    const uint4 a = inside && key < keys ? *(const uint4*)from : uint4{};
    const uint4 b = inside && key + 1 < keys ? *(const uint4*)(from + row) : uint4{};
    *(uint4*)&tile[p][c * 8] = {__byte_perm(a.x, b.x, 0x5410), __byte_perm(a.x, b.x, 0x7632),
                                __byte_perm(a.y, b.y, 0x5410), __byte_perm(a.y, b.y, 0x7632)};
    *(uint4*)&tile[p][c * 8 + 4] = {__byte_perm(a.z, b.z, 0x5410), __byte_perm(a.z, b.z, 0x7632),
                                    __byte_perm(a.w, b.w, 0x5410), __byte_perm(a.w, b.w, 0x7632)};
  }
}

// A score in powers of 2, masked.
__device__ __forceinline__ float masked(const Attention& g, float s, i64 mask_row, int row,
                                        int key) {
  s *= g.scale;
  if (key >= g.keys) return -INFINITY;
#if FB_MASK == 1
  if (key > row) return -INFINITY;
#elif FB_MASK == 2
  if (row < g.rows && !((const bool*)g.mask)[mask_row + key * g.mask_key]) return -INFINITY;
#elif FB_MASK == 3
  if (row < g.rows) return s + float(((const FB_T*)g.mask)[mask_row + key * g.mask_key]) * kLog2E;
#endif
  return s;
}

extern "C" __global__ void __launch_bounds__(kThreads, FB_E + FB_EV > 128 ? 1 : 2)
    attention(Attention g) {
  __shared__ alignas(16) uint32_t k_tile[kKeys][FB_E / 2 + 4];
  __shared__ alignas(16) uint32_t v_tile[kKeys / 2][FB_EV + 8];
  const int warp = threadIdx.x / 32, quad = threadIdx.x % 32 / 4, at = threadIdx.x % 4;
  // The tiles with the most keys before the diagonal go first.
  const int tile = g.tiles - 1 - int(blockIdx.x % g.tiles);
  const i64 plane = blockIdx.x / g.tiles, batch = plane / g.heads, head = plane % g.heads;
  const FB_T* q = g.q + batch * g.q_batch + head * g.q_head;
  const FB_T* k = g.k + batch * g.k_batch + head / g.group * g.k_head;
  const FB_T* v = g.v + batch * g.v_batch + head / g.group * g.v_head;
  const i64 mask = batch * g.mask_batch + head * g.mask_head;
  const int row[2] = {tile * kRows + warp * 16 + quad, tile * kRows + warp * 16 + quad + 8};

  uint32_t query[FB_E / 16][4];
#pragma unroll
  for (int e = 0; e < FB_E / 16; ++e)
#pragma unroll
    for (int j = 0; j < 4; ++j) { // row j % 2, columns 8 (j / 2) further
      const int r = row[j % 2], col = e * 16 + j / 2 * 8 + at * 2;
      query[e][j] = r < g.rows && col < g.e ? *(const uint32_t*)(q + r * g.q_row + col) : 0;
    }
  float out[FB_EV / 8][4] = {};
  float top[2] = {-INFINITY, -INFINITY}, sum[2] = {};

  int end = g.keys;
  if (FB_MASK == 1) end = min(end, (tile + 1) * kRows);
  for (int first = 0; first < end; first += kKeys) {
    __syncthreads(); // the tiles have been read
    load_keys(k_tile, k, g.k_row, first, g.keys, g.e);
    load_values(v_tile, v, g.v_row, first, g.keys, g.ev);
    __syncthreads();
    float score[kKeys / 8][4] = {};
#pragma unroll
    for (int n = 0; n < kKeys / 8; ++n)
#pragma unroll
      for (int e = 0; e < FB_E / 16; ++e)
        multiply(score[n], query[e], k_tile[n * 8 + quad][e * 8 + at],
                 k_tile[n * 8 + quad][e * 8 + at + 4]);
    float next[2] = {top[0], top[1]};
#pragma unroll
    for (int n = 0; n < kKeys / 8; ++n)
#pragma unroll
      for (int j = 0; j < 4; ++j) {
        const int r = row[j / 2];
        score[n][j] = masked(g, score[n][j], mask + r * g.mask_row, r,
                             first + n * 8 + at * 2 + j % 2);
        next[j / 2] = fmaxf(next[j / 2], score[n][j]);
      }
    float base[2];
#pragma unroll
    for (int r = 0; r < 2; ++r) {
      next[r] = row_max(next[r]);
      base[r] = next[r] == -INFINITY ? 0 : next[r]; // nothing to attend to so far
      const float shrink = exp2f(top[r] - base[r]);
      top[r] = next[r];
      sum[r] *= shrink;
#pragma unroll
      for (int n = 0; n < FB_EV / 8; ++n) {
        out[n][2 * r] *= shrink;
        out[n][2 * r + 1] *= shrink;
      }
    }
#pragma unroll
    for (int n = 0; n < kKeys / 8; ++n)
#pragma unroll
      for (int j = 0; j < 4; ++j) {
        score[n][j] = exp2f(score[n][j] - base[j / 2]);
        sum[j / 2] += score[n][j];
      }
#pragma unroll
    for (int s = 0; s < kKeys / 16; ++s) {
      const float(&a)[4] = score[2 * s], (&b)[4] = score[2 * s + 1];
      const uint32_t weight[4] = {pair(a[0], a[1]), pair(a[2], a[3]), pair(b[0], b[1]),
                                  pair(b[2], b[3])};
#pragma unroll
      for (int n = 0; n < FB_EV / 8; ++n)
        multiply(out[n], weight, v_tile[s * 8 + at][n * 8 + quad],
                 v_tile[s * 8 + at + 4][n * 8 + quad]);
    }
  }
#pragma unroll
  for (int r = 0; r < 2; ++r) {
    const float total = row_sum(sum[r]), share = total == 0 ? 0 : 1 / total;
    if (row[r] >= g.rows) continue;
    FB_T* to = g.out + (plane * g.rows + row[r]) * g.ev + at * 2;
#pragma unroll
    for (int n = 0; n < FB_EV / 8; ++n)
      if (n * 8 < g.ev)
        *(uint32_t*)(to + n * 8) = pair(out[n][2 * r] * share, out[n][2 * r + 1] * share);
  }
}
