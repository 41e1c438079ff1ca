// Matrix product of float and double: blocking, packing and threads around the inner kernels.
#include "gemm.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <new>

#include "gemm_kernels.h"
#include "parallel.h"

namespace flambeau {

namespace {

enum Slot { kSlotB = 0, kSlotA = 1, kSlotX = 2 };

constexpr int64_t kDepth = 256;         // k of one packed block: a B panel then fills L1
constexpr int64_t kRows = 112;          // rows of A that a chunk takes, which live in L2
constexpr int64_t kPackedRows = 4096;   // rows of A packed at a time
constexpr int64_t kColumns = 4096;      // columns packed at a time, which live in L3
constexpr int64_t kChunkWork = 1 << 17; // multiply-adds that are worth a chunk of their own

int64_t ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }

struct Workspace {
  static constexpr int kSlots = 8;
  void* data[kSlots] = {};
  int64_t size[kSlots] = {};
  ~Workspace() {
    for (void* p : data) std::free(p);
  }
};

int find_isa() {
  int isa = 0;
#if defined(__x86_64__)
  __builtin_cpu_init();
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) isa = 1;
  if (isa == 1 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
      __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl"))
    isa = 2;
#endif
  if (const char* wish = std::getenv("FLAMBEAU_CPU_ISA")) {
    if (std::strcmp(wish, "base") == 0) isa = 0;
    if (std::strcmp(wish, "avx2") == 0) isa = std::min(isa, 1);
  }
  if (isa == 2 && avx512::gemm_table<float>() == nullptr) isa = 1;
  if (isa == 1 && avx2::gemm_table<float>() == nullptr) isa = 0;
  return isa;
}

// Everything that the blocks of one product share.
template<class T>
struct Product {
  const GemmKernels<T>& kernels = gemm_kernels<T>();
  bool trans_a, trans_b;
  int64_t m, n, k;
  T alpha;
  const T* a;
  int64_t lda;
  const T* b;
  int64_t ldb;
  T* c;
  int64_t ldc;
  int64_t mr, panels_m;
  bool pack_a, pack_b;

  void plan() {
    const int64_t nr = kernels.nr;
    int64_t most = kernels.mr;
    pack_a = n > 3 * nr;
    // Rows a multiple of 4 KiB apart share one cache set: fewer of them at a time then.
    if (!pack_a && !trans_a && (lda * int64_t(sizeof(T))) % 4096 == 0)
      most = std::min<int64_t>(most, 6);
    panels_m = ceil_div(m, most);
    mr = ceil_div(m, panels_m);
    panels_m = ceil_div(m, mr);
    pack_b = trans_b || (m > 2 * mr && k * n > 8192);
  }

  void pack_b_panel(int64_t p0, int64_t kb, int64_t j0, int cols, int width, T* dst) const {
    if (trans_b)
      kernels.pack_transposed(kb, cols, width, b + j0 * ldb + p0, ldb, dst);
    else
      kernels.pack_rows(kb, cols, width, b + p0 * ldb + j0, ldb, dst);
  }

  void pack_a_panel(int64_t p0, int64_t kb, int64_t i0, int rows, T* dst) const {
    if (trans_a)
      kernels.pack_rows(kb, rows, rows, a + p0 * lda + i0, lda, dst);
    else
      kernels.pack_transposed(kb, rows, rows, a + i0 * lda + p0, lda, dst);
  }

  // Rows of panels [ip0, ip1) times the columns [j0, j0 + cols), whose B is at (b, bs).
  void column_of_tiles(int64_t p0, int64_t kb, int64_t ip0, int64_t ip1, const T* packed_a,
                       int64_t j0, int cols, const T* bp, int64_t bs, T beta) const {
    const auto* tile = kernels.tile[cols > kernels.lanes];
    for (int64_t ip = ip0; ip < ip1; ip++) {
      const int64_t i0 = ip * mr;
      const int rows = static_cast<int>(std::min(mr, m - i0));
      const T* ap;
      int64_t rs, cs;
      if (packed_a != nullptr) {
        ap = packed_a + (i0 - ip0 * mr) * kb, rs = 1, cs = rows;
      } else if (trans_a) {
        ap = a + p0 * lda + i0, rs = 1, cs = lda;
      } else {
        ap = a + i0 * lda + p0, rs = lda, cs = 1;
      }
      tile[rows - 1](kb, ap, rs, cs, bp, bs, c + i0 * ldc + j0, ldc, cols, alpha, beta);
    }
  }

  // Packs B's panels of columns and A's panels [ip0, ip1) of rows, whichever are asked for.
  void pack(int64_t p0, int64_t kb, int64_t jc, int64_t nc, int64_t panels_n, T* packed_b,
            int64_t ip0, int64_t ip1, T* packed_a) const {
    const int64_t nr = kernels.nr, of_b = packed_b != nullptr ? panels_n : 0;
    const int64_t of_a = packed_a != nullptr ? ip1 - ip0 : 0;
    const int64_t grain = std::max<int64_t>(1, (1 << 15) / (nr * kb));
    parallel_for(of_b + of_a, grain, [&](int64_t i, int64_t end) {
      for (; i < end; i++) {
        if (i < of_b) {
          pack_b_panel(p0, kb, jc + i * nr, static_cast<int>(std::min(nr, nc - i * nr)),
                       static_cast<int>(nr), packed_b + i * nr * kb);
        } else {
          const int64_t ip = ip0 + i - of_b;
          pack_a_panel(p0, kb, ip * mr, static_cast<int>(std::min(mr, m - ip * mr)),
                       packed_a + (ip - ip0) * mr * kb);
        }
      }
    });
  }

  // One block of k for the columns [jc, jc + nc).
  void block(int64_t p0, int64_t kb, int64_t jc, int64_t nc, T beta) const {
    const int64_t nr = kernels.nr, panels_n = ceil_div(nc, nr);
    const int64_t most = pack_a ? kPackedRows / mr : panels_m;
    T* packed_b = pack_b ? workspace<T>(kSlotB, panels_n * nr * kb) : nullptr;
    T* packed_a = pack_a ? workspace<T>(kSlotA, std::min(most, panels_m) * mr * kb) : nullptr;
    for (int64_t ip0 = 0; ip0 < panels_m; ip0 += most) {
      const int64_t ip1 = std::min(panels_m, ip0 + most), rows = ip1 - ip0;
      pack(p0, kb, jc, nc, panels_n, ip0 == 0 ? packed_b : nullptr, ip0, ip1, packed_a);
      const int64_t wanted = std::clamp<int64_t>(rows * mr * nc * kb / kChunkWork, 1, 64);
      const int64_t blocks_m = std::clamp<int64_t>(ceil_div(rows * mr, kRows), 1, rows);
      const int64_t blocks_n = std::clamp<int64_t>(wanted / blocks_m, 1, panels_n);
      const int64_t step_m = ceil_div(rows, blocks_m), step_n = ceil_div(panels_n, blocks_n);
      const int64_t grid_n = ceil_div(panels_n, step_n), all = ceil_div(rows, step_m) * grid_n;
      parallel_for(all, wanted == 1 ? all : 1, [&](int64_t chunk, int64_t end) {
        for (; chunk < end; chunk++) {
          const int64_t i0 = ip0 + chunk / grid_n * step_m, j0 = chunk % grid_n * step_n;
          rectangle(p0, kb, jc, nc, i0, std::min(ip1, i0 + step_m), j0,
                    std::min(panels_n, j0 + step_n), packed_b,
                    packed_a != nullptr ? packed_a + (i0 - ip0) * mr * kb : nullptr, beta);
        }
      });
    }
  }

  void rectangle(int64_t p0, int64_t kb, int64_t jc, int64_t nc, int64_t ip0, int64_t ip1,
                 int64_t jp0, int64_t jp1, const T* packed_b, const T* packed_a, T beta) const {
    const int64_t nr = kernels.nr;
    for (int64_t jp = jp0; jp < jp1; jp++) {
      const int64_t j0 = jc + jp * nr;
      const int cols = static_cast<int>(std::min(nr, nc - jp * nr));
      const T* bp = b + p0 * ldb + j0;
      int64_t bs = ldb;
      if (packed_b != nullptr) {
        bp = packed_b + jp * nr * kb, bs = nr;
      } else if (cols < nr && !kernels.direct_edge) {
        T* edge = workspace<T>(kSlotX, nr * kb);
        pack_b_panel(p0, kb, j0, cols, static_cast<int>(nr), edge);
        bp = edge, bs = nr;
      }
      column_of_tiles(p0, kb, ip0, ip1, packed_a, j0, cols, bp, bs, beta);
    }
  }

  void run(T beta) const {
    const int64_t kb = ceil_div(k, ceil_div(k, kDepth));
    for (int64_t jc = 0; jc < n; jc += kColumns)
      for (int64_t p0 = 0; p0 < k; p0 += kb)
        block(p0, std::min(kb, k - p0), jc, std::min(kColumns, n - jc), p0 == 0 ? beta : T(1));
  }
};

template<class T>
void scale(int64_t m, int64_t n, T beta, T* c, int64_t ldc) {
  for (int64_t i = 0; i < m; i++)
    for (int64_t j = 0; j < n; j++) c[i * ldc + j] = beta == T(0) ? T(0) : c[i * ldc + j] * beta;
}

template<class T>
const T* contiguous(const T* x, int64_t inc, int64_t n) {
  if (inc == 1 || n == 1) return x;
  T* copy = workspace<T>(kSlotX, n);
  for (int64_t i = 0; i < n; i++) copy[i] = x[i * inc];
  return copy;
}

// y (m, step inc_y) = alpha * A x + beta * y with A's rows contiguous.
template<class T>
void gemv_by_rows(int64_t m, int64_t k, T alpha, const T* a, int64_t lda, const T* x, int64_t inc_x,
                  T beta, T* y, int64_t inc_y) {
  const auto& kernels = gemm_kernels<T>();
  x = contiguous(x, inc_x, k);
  const int64_t grain = std::max<int64_t>(4, (1 << 15) / k / 4 * 4);
  parallel_for(m, grain, [&](int64_t i, int64_t end) {
    kernels.gemv_rows(end - i, k, alpha, a + i * lda, lda, x, beta, y + i * inc_y, inc_y);
  });
}

// y (n, contiguous) = alpha * x B + beta * y with B's rows contiguous.
template<class T>
void gemv_by_columns(int64_t n, int64_t k, T alpha, const T* b, int64_t ldb, const T* x,
                     int64_t inc_x, T beta, T* y) {
  const auto& kernels = gemm_kernels<T>();
  const int64_t unit = 8 * kernels.lanes;
  const int64_t grain = std::max<int64_t>(1, (1 << 15) / k / unit) * unit;
  parallel_for(n, grain, [&](int64_t j, int64_t end) {
    kernels.gemv_cols(end - j, k, alpha, b + j, ldb, x, inc_x, beta, y + j);
  });
}

template<class T>
bool gemm_as_gemv(bool trans_a, bool trans_b, int64_t m, int64_t n, int64_t k, T alpha, const T* a,
                  int64_t lda, const T* b, int64_t ldb, T beta, T* c, int64_t ldc) {
  if (n == 1 && !trans_a) {
    gemv_by_rows(m, k, alpha, a, lda, b, trans_b ? 1 : ldb, beta, c, ldc);
  } else if (n == 1 && ldc == 1) {
    gemv_by_columns(m, k, alpha, a, lda, b, trans_b ? 1 : ldb, beta, c);
  } else if (m == 1 && !trans_b) {
    gemv_by_columns(n, k, alpha, b, ldb, a, trans_a ? lda : 1, beta, c);
  } else if (m == 1) {
    gemv_by_rows(n, k, alpha, b, ldb, a, trans_a ? lda : 1, beta, c, 1);
  } else {
    return false;
  }
  return true;
}

template<class T>
void gemm_real(bool trans_a, bool trans_b, int64_t m, int64_t n, int64_t k, T alpha, const T* a,
               int64_t lda, const T* b, int64_t ldb, T beta, T* c, int64_t ldc) {
  if (m <= 0 || n <= 0) return;
  if (k <= 0 || alpha == T(0)) return scale(m, n, beta, c, ldc);
  if (gemm_as_gemv(trans_a, trans_b, m, n, k, alpha, a, lda, b, ldb, beta, c, ldc)) return;
  Product<T> product{.trans_a = trans_a,
                     .trans_b = trans_b,
                     .m = m,
                     .n = n,
                     .k = k,
                     .alpha = alpha,
                     .a = a,
                     .lda = lda,
                     .b = b,
                     .ldb = ldb,
                     .c = c,
                     .ldc = ldc,
                     .mr = 0,
                     .panels_m = 0,
                     .pack_a = false,
                     .pack_b = false};
  product.plan();
  product.run(beta);
}

} // namespace

void* thread_workspace(int slot, int64_t bytes) {
  thread_local Workspace space;
  if (space.size[slot] < bytes) {
    std::free(space.data[slot]);
    space.data[slot] = nullptr;
    space.size[slot] = 0;
    const int64_t size = (bytes + bytes / 8 + 4095) / 4096 * 4096;
    space.data[slot] = std::aligned_alloc(64, static_cast<size_t>(size));
    if (space.data[slot] == nullptr) throw std::bad_alloc();
    space.size[slot] = size;
  }
  return space.data[slot];
}

int cpu_isa() {
  static const int isa = find_isa();
  return isa;
}

template<class T>
const GemmKernels<T>& gemm_kernels() {
  static const GemmKernels<T>* const table = cpu_isa() == 2   ? avx512::gemm_table<T>()
                                             : cpu_isa() == 1 ? avx2::gemm_table<T>()
                                                              : base::gemm_table<T>();
  return *table;
}
template const GemmKernels<float>& gemm_kernels<float>();
template const GemmKernels<double>& gemm_kernels<double>();

template<>
void gemm<float>(bool trans_a, bool trans_b, int64_t m, int64_t n, int64_t k, float alpha,
                 const float* a, int64_t lda, const float* b, int64_t ldb, float beta, float* c,
                 int64_t ldc) {
  gemm_real(trans_a, trans_b, m, n, k, alpha, a, lda, b, ldb, beta, c, ldc);
}
template<>
void gemm<double>(bool trans_a, bool trans_b, int64_t m, int64_t n, int64_t k, double alpha,
                  const double* a, int64_t lda, const double* b, int64_t ldb, double beta,
                  double* c, int64_t ldc) {
  gemm_real(trans_a, trans_b, m, n, k, alpha, a, lda, b, ldb, beta, c, ldc);
}

} // namespace flambeau
