// Matrix product of bfloat16 by instructions that multiply pairs: blocking, packing and threads.
#include "gemm_bf16.h"

#include <algorithm>
#include <cmath>

#include "gemm.h"
#include "gemm_call.h"
#include "gemm_kernels.h"
#include "parallel.h"

namespace flambeau {

namespace {

enum Slot { kSlotA = 3, kSlotB = 4, kSlotSums = 5 };

constexpr int64_t kDepth = 1024;         // k of one block: 256 rows of A then fill half of L2
constexpr int64_t kChunkWork = 1 << 21;  // multiply-adds that are worth a chunk of their own
constexpr int64_t kLeastChunk = 32 * 32; // results of a chunk that are worth the packing
constexpr int64_t kMostChunk = 256 * 256;
constexpr int64_t kNr = kBf16Columns;

const Bf16Kernels* kernels() {
  static const Bf16Kernels* const found = cpu_isa() == 2 ? avx512_bf16::bf16_kernels() : nullptr;
  return found;
}

// C is cut into chunks, each of which packs what it reads of B and, unless it is read in place, A.
struct Product {
  const Bf16Kernels& kernels = *flambeau::kernels();
  const GemmCall<bf16>& call;
  int64_t mr, panels_m, panels_n; // rows of a tile; tiles to cover C
  int64_t blocks_m, blocks_n;     // rows and columns of chunks
  int64_t kb;                     // k of a block, even
  bool pack_a;

  explicit Product(const GemmCall<bf16>& c) : call(c) {
    const int64_t m = c.m, n = c.n, k = c.k;
    mr = ceil_div(m, ceil_div(m, kBf16Rows));
    panels_m = ceil_div(m, mr), panels_n = ceil_div(n, kNr);
    kb = (ceil_div(k, ceil_div(k, kDepth)) + 1) / 2 * 2;
    // Rows a multiple of 4 KiB apart share a cache set.
    const bool scattered = c.lda * int64_t(sizeof(bf16)) % 4096 == 0;
    pack_a = c.trans_a || (scattered && m > 8 && n > 2 * kNr);
    const double wanted = std::max({double(kChunkWork) / double(k + 32), double(kLeastChunk),
                                    std::min(double(m) * double(n) / 8, double(kMostChunk))});
    // Wide chunks spare packing of A, high ones that of B.
    const double shape = pack_a ? 2 : 0.5;
    const int64_t wide = std::clamp(int64_t(std::sqrt(wanted * shape)) / kNr, int64_t(1), panels_n);
    const int64_t high = std::clamp(int64_t(wanted) / (wide * kNr * mr), int64_t(1), panels_m);
    blocks_n = ceil_div(panels_n, wide), blocks_m = ceil_div(panels_m, high);
    // An even number of chunks, for most machines have an even number of processors.
    if (blocks_m > 1 && blocks_m < panels_m && blocks_n % 2 != 0) blocks_m += blocks_m % 2;
  }

  void pack_a_panels(int64_t p0, int64_t depth, int64_t ip0, int64_t ip1, bf16* to) const {
    for (int64_t ip = ip0; ip < ip1; ip++, to += mr * even(depth)) {
      const int64_t i0 = ip * mr;
      const int rows = static_cast<int>(std::min(mr, call.m - i0));
      if (call.trans_a)
        kernels.pack_rows(depth, rows, int(mr), call.a + p0 * call.lda + i0, call.lda, to);
      else
        kernels.pack_transposed(depth, rows, int(mr), call.a + i0 * call.lda + p0, call.lda, to);
    }
  }

  static int64_t even(int64_t k) { return (k + 1) / 2 * 2; }

  void chunk(int64_t ip0, int64_t ip1, int64_t jp0, int64_t jp1) const {
    bf16* packed_a = pack_a ? workspace<bf16>(kSlotA, (ip1 - ip0) * mr * kb) : nullptr;
    bf16* packed_b = workspace<bf16>(kSlotB, kNr * kb);
    float* sums =
        workspace<float>(kSlotSums, kb < call.k ? (ip1 - ip0) * (jp1 - jp0) * mr * kNr : 0);
    for (int64_t p0 = 0; p0 < call.k; p0 += kb) {
      const int64_t depth = std::min(kb, call.k - p0);
      if (pack_a) pack_a_panels(p0, depth, ip0, ip1, packed_a);
      for (int64_t jp = jp0; jp < jp1; jp++) {
        const int64_t j0 = jp * kNr;
        const int cols = static_cast<int>(std::min(kNr, call.n - j0));
        if (call.trans_b)
          kernels.pack_transposed(depth, cols, kNr, call.b + j0 * call.ldb + p0, call.ldb,
                                  packed_b);
        else
          kernels.pack_rows(depth, cols, kNr, call.b + p0 * call.ldb + j0, call.ldb, packed_b);
        for (int64_t ip = ip0; ip < ip1; ip++) {
          const int64_t i0 = ip * mr, rows = std::min(mr, call.m - i0);
          Bf16Tile t;
          t.k = depth;
          if (pack_a)
            t.a = packed_a + (ip - ip0) * mr * even(depth), t.rs = 2, t.cs = 2 * mr;
          else
            t.a = call.a + i0 * call.lda + p0, t.rs = call.lda, t.cs = 2;
          t.b = packed_b;
          t.sums = sums + ((jp - jp0) * (ip1 - ip0) + ip - ip0) * mr * kNr;
          t.first = p0 == 0, t.final = p0 + depth == call.k;
          t.alpha = call.alpha, t.beta = call.beta;
          t.d = call.d + i0 * call.ldd + j0, t.ldd = call.ldd;
          t.c = call.c + i0 * call.ldc + j0, t.ldc = call.ldc;
          t.cols = cols;
          kernels.tile[cols > kNr / 2][rows - 1](t);
        }
      }
    }
  }

  void run() const {
    parallel_for(blocks_m * blocks_n, 1, [&](int64_t i, int64_t end) {
      for (; i < end; i++) {
        const int64_t im = i % blocks_m, in = i / blocks_m;
        chunk(im * panels_m / blocks_m, (im + 1) * panels_m / blocks_m, in * panels_n / blocks_n,
              (in + 1) * panels_n / blocks_n);
      }
    });
  }
};

} // namespace

bool bf16_product_pays(int64_t m, int64_t n, int64_t k) {
  return kernels() != nullptr && m > 1 && n > 1 && k > 1 && m * n * k >= 256;
}

template<>
void gemm<bf16>(bool trans_a, bool trans_b, int64_t m, int64_t n, int64_t k, bf16 alpha,
                const bf16* a, int64_t lda, const bf16* b, int64_t ldb, bf16 beta, bf16* c,
                int64_t ldc, const bf16* d, int64_t ldd) {
  if (m <= 0 || n <= 0) return;
  if (d == nullptr) d = c, ldd = ldc;
  const GemmCall<bf16> call{trans_a, trans_b, m, n, k, alpha, a, lda, b, ldb, beta, d, ldd, c, ldc};
  if (k <= 0 || alpha == 0) return call.prefill(0, m, 0, n);
  Product(call).run();
}

} // namespace flambeau
