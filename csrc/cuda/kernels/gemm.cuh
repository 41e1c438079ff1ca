// Matrix products of any type: tiles of both factors in shared memory, sums in registers.
//
// Defined in front: FB_IN and FB_OUT, the types of factors and product; FB_SUM, that of the sums;
// FB_TRANS_A, FB_TRANS_B (0, 1): whether a factor is stored transposed; FB_TILE (64, 128): rows and
// columns of a block's part; FB_STEP: how deep the tiles are; FB_PACK_A, FB_PACK_B: elements in one
// load.
//! needs: types.cuh

struct Factor {
  const FB_IN* data;
  i64 ld, stride; // between stored rows; between the matrices of a batch
};
struct Product {
  Factor a, b;
  FB_OUT* c;
  FB_SUM* partial; // with several splits of k: their sums, [split][batch][m][n]
  i64 ldc, stride_c, batch, m, n, k;
  i64 depth;   // of one split, a multiple of FB_STEP
  i64 tiles_n; // blocks along n
  int splits, add;
};

constexpr int kThreads = 256, kTile = FB_TILE, kStep = FB_STEP, kEach = kTile * kStep / kThreads;
constexpr int kLine = kTile + 4; // of shared memory; keeps the transposing stores free of conflicts
constexpr int kParts = kTile / 64, kOwn = 4 * kParts; // a thread sums kOwn x kOwn elements

template<class T, int N>
struct alignas(sizeof(T) * N) Pack {
  T v[N];
};

__device__ __forceinline__ void add_product(float& s, float a, float b) { s = fmaf(a, b, s); }
__device__ __forceinline__ void add_product(double& s, double a, double b) { s = fma(a, b, s); }
__device__ __forceinline__ void add_product(uint32_t& s, uint32_t a, uint32_t b) { s += a * b; }
__device__ __forceinline__ void add_product(uint64_t& s, uint64_t a, uint64_t b) { s += a * b; }
template<class T>
__device__ __forceinline__ void add_product(cpx<T>& s, cpx<T> a, cpx<T> b) {
  s.re = fma(a.re, b.re, fma(-a.im, b.im, s.re));
  s.im = fma(a.re, b.im, fma(a.im, b.re, s.im));
}

// A thread's share of a tile: kStep deep along k, kTile lines (rows of A, columns of B) wide.
// `deep`: neighbours in memory are neighbours along k.
template<bool deep, int pack>
struct Share {
  static constexpr int kFast = (deep ? kStep : kTile) / pack, kLoads = kEach / pack;
  FB_IN v[kEach];

  static __device__ __forceinline__ int line(int l) {
    const int g = threadIdx.x + l * kThreads;
    return deep ? g / kFast : g % kFast * pack;
  }
  static __device__ __forceinline__ int depth(int l) {
    const int g = threadIdx.x + l * kThreads;
    return deep ? g % kFast * pack : g / kFast;
  }
  __device__ __forceinline__ void load(const FB_IN* from, i64 ld, i64 line0, i64 lines, i64 d0,
                                       i64 end) {
#pragma unroll
    for (int l = 0; l < kLoads; ++l) {
      const i64 at = line0 + line(l), d = d0 + depth(l);
      const FB_IN* p = from + (deep ? at * ld + d : d * ld + at);
      const bool inside = at < lines && d < end;
      if (inside && (deep ? d + pack <= end : at + pack <= lines)) {
        const Pack<FB_IN, pack> t = *(const Pack<FB_IN, pack>*)p;
#pragma unroll
        for (int j = 0; j < pack; ++j) v[l * pack + j] = t.v[j];
        continue;
      }
#pragma unroll
      for (int j = 0; j < pack; ++j)
        v[l * pack + j] = inside && (deep ? d + j < end : at + j < lines) ? p[j] : FB_IN(0);
    }
  }
  __device__ __forceinline__ void store(FB_SUM (*tile)[kLine]) const {
#pragma unroll
    for (int l = 0; l < kLoads; ++l)
#pragma unroll
      for (int j = 0; j < pack; ++j)
        tile[depth(l) + (deep ? j : 0)][line(l) + (deep ? 0 : j)] = FB_SUM(v[l * pack + j]);
  }
};

using Quad = Pack<FB_SUM, 4>;

__device__ __forceinline__ void write(const Product& p, i64 z, i64 row, i64 col, const FB_SUM* s) {
  if (row >= p.m) return;
  if (p.splits > 1) {
    FB_SUM* to = p.partial + ((blockIdx.z * p.batch + z) * p.m + row) * p.n + col;
    for (int j = 0; j < 4; ++j)
      if (col + j < p.n) to[j] = s[j];
    return;
  }
  FB_OUT* to = p.c + z * p.stride_c + row * p.ldc + col;
  for (int j = 0; j < 4; ++j)
    if (col + j < p.n) to[j] = p.add ? FB_OUT(s[j] + FB_SUM(to[j])) : FB_OUT(s[j]);
}

extern "C" __global__ void __launch_bounds__(kThreads, kParts) gemm(Product p) {
  __shared__ Pack<FB_SUM, 4> memory_a[2 * kStep * kLine / 4], memory_b[2 * kStep * kLine / 4];
  using Tile = FB_SUM[kStep][kLine];
  Tile* const tile_a = (Tile*)memory_a;
  Tile* const tile_b = (Tile*)memory_b;
  // A warp sums 4 x 8 fragments of 4 x 4, so that its reads of a tile are few and wide.
  const int warp = threadIdx.x / 32, lane = threadIdx.x % 32;
  const int y = (warp / 2 * 4 + lane / 8) * 4, x = (warp % 2 * 8 + lane % 8) * 4;
  const i64 row0 = blockIdx.x / p.tiles_n * kTile, col0 = blockIdx.x % p.tiles_n * kTile;
  const i64 first = blockIdx.z * p.depth, last = min(p.k, first + p.depth);
  Share<!FB_TRANS_A, FB_PACK_A> a;
  Share<FB_TRANS_B, FB_PACK_B> b;

  for (i64 z = blockIdx.y; z < p.batch; z += gridDim.y) {
    const FB_IN* from_a = p.a.data + z * p.a.stride;
    const FB_IN* from_b = p.b.data + z * p.b.stride;
    FB_SUM sum[kOwn][kOwn];
#pragma unroll
    for (int i = 0; i < kOwn; ++i)
#pragma unroll
      for (int j = 0; j < kOwn; ++j) sum[i][j] = FB_SUM(0);
    a.load(from_a, p.a.ld, row0, p.m, first, last);
    b.load(from_b, p.b.ld, col0, p.n, first, last);
    a.store(tile_a[0]);
    b.store(tile_b[0]);
    __syncthreads();
    int now = 0;
    for (i64 d = first; d < last; d += kStep, now ^= 1) {
      const bool more = d + kStep < last;
      if (more) {
        a.load(from_a, p.a.ld, row0, p.m, d + kStep, last);
        b.load(from_b, p.b.ld, col0, p.n, d + kStep, last);
      }
#pragma unroll 1
      for (int e = 0; e < kStep; ++e) {
        Quad fa[kParts], fb[kParts];
#pragma unroll
        for (int f = 0; f < kParts; ++f) {
          fa[f] = *(const Quad*)&tile_a[now][e][f * 64 + y];
          fb[f] = *(const Quad*)&tile_b[now][e][f * 64 + x];
        }
#pragma unroll
        for (int i = 0; i < kOwn; ++i)
#pragma unroll
          for (int j = 0; j < kOwn; ++j)
            add_product(sum[i][j], fa[i / 4].v[i % 4], fb[j / 4].v[j % 4]);
      }
      if (more) {
        a.store(tile_a[now ^ 1]);
        b.store(tile_b[now ^ 1]);
      }
      __syncthreads();
    }
#pragma unroll
    for (int i = 0; i < kOwn; ++i)
#pragma unroll
      for (int f = 0; f < kParts; ++f)
        write(p, z, row0 + i / 4 * 64 + y + i % 4, col0 + f * 64 + x, &sum[i][4 * f]);
  }
}

// The splits' sums added up in their order.
extern "C" __global__ void __launch_bounds__(256) add_splits(Product p) {
  const i64 each = p.m * p.n, all = p.batch * each;
  for (i64 i = blockIdx.x * (i64)256 + threadIdx.x; i < all; i += gridDim.x * (i64)256) {
    const i64 z = i / each, row = i % each / p.n, col = i % p.n;
    FB_OUT* to = p.c + z * p.stride_c + row * p.ldc + col;
    FB_SUM s = p.add ? FB_SUM(*to) : FB_SUM(0);
    for (int k = 0; k < p.splits; ++k) s = s + p.partial[k * all + i];
    *to = FB_OUT(s);
  }
}
