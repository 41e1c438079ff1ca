// Matrix product of float and double: blocking, packing and threads around the inner kernels.
#include "gemm.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <new>

#include "gemm_call.h"
#include "gemm_kernels.h"
#include "parallel.h"

namespace flambeau {

namespace {

enum Slot { kSlotB = 0, kSlotA = 1, kSlotX = 2, kSlotSums = 8 };

constexpr int64_t kDepth = 256;          // k of one block: a B panel then fills half of L1
constexpr int64_t kResident = 256 << 10; // bytes of A's block of rows, which live in L2
constexpr int64_t kPassItems = 1 << 20;  // elements of A and of B packed in one pass, for L3
constexpr int64_t kChunkWork = 1 << 18;  // multiply-adds that are worth a chunk of their own
constexpr int64_t kPackGrain = 1 << 15;  // elements that are worth a chunk of packing
constexpr int64_t kSplitWork = 1 << 19;  // multiply-adds of a part when k is split

struct Workspace {
  static constexpr int kSlots = 9;
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

// A product and how it is cut. The grid of chunks covers C; each chunk goes over all of k. Few
// rows: a chunk packs the B panels of its columns itself. Many: all is packed first, by all
// threads.
template<class T>
struct Product {
  const GemmKernels<T>& kernels = gemm_kernels<T>();
  const GemmCall<T>& call;
  int64_t mr, panels_m, panels_n; // rows of a tile; tiles to cover C
  int64_t step_m, step_n;         // tiles of a chunk
  int64_t kb;                     // k of a block
  bool pack_a, pack_b, share_b;

  explicit Product(const GemmCall<T>& c) : call(c) {
    const int64_t nr = kernels.nr, m = c.m, n = c.n, k = c.k;
    mr = ceil_div(m, ceil_div(m, kernels.mr));
    panels_m = ceil_div(m, mr), panels_n = ceil_div(n, nr);
    kb = ceil_div(k, ceil_div(k, kDepth));
    const int64_t resident = kResident / (kb * int64_t(sizeof(T)));
    const auto wanted =
        static_cast<int64_t>(std::clamp(double(m) * double(n) * double(k) / kChunkWork, 1.0, 64.0));
    int64_t blocks_m = m <= resident + resident / 4 ? 1 : ceil_div(2 * m, resident);
    if (panels_n < 4) blocks_m = std::max(blocks_m, wanted / panels_n);
    step_m = ceil_div(panels_m, std::min(blocks_m, panels_m));
    blocks_m = ceil_div(panels_m, step_m);
    // Wide chunks, for each brings its rows of A into L2 anew; but enough of them to share out.
    const int64_t least =
        blocks_m > 1 ? std::max(ceil_div(16, blocks_m), ceil_div(panels_n, 8)) : 64;
    step_n =
        ceil_div(panels_n, std::clamp(std::min(wanted / blocks_m, least), int64_t(1), panels_n));
    pack_b = c.trans_b || (m > 2 * mr && k * n > 8192);
    share_b = pack_b && blocks_m > 1;
    // Rows a multiple of 4 KiB apart share a cache set, and so do the steps along a column of A'.
    const bool scattered = (c.lda * int64_t(sizeof(T))) % 4096 == 0 && m > 32;
    pack_a = c.trans_a ? k * c.lda > 4096 : (blocks_m > 1 || scattered) && n > 8 * nr;
  }

  void pack_b_panels(int64_t p0, int64_t depth, int64_t j0, int64_t cols, T* dst) const {
    const int nr = kernels.nr;
    if (!call.trans_b)
      return kernels.pack_rows(depth, cols, nr, call.b + p0 * call.ldb + j0, call.ldb, dst,
                               nr * depth);
    for (int64_t j = 0; j < cols; j += nr)
      kernels.pack_transposed(depth, static_cast<int>(std::min<int64_t>(nr, cols - j)), nr,
                              call.b + (j0 + j) * call.ldb + p0, call.ldb, dst + j * depth);
  }

  void pack_a_panels(int64_t p0, int64_t depth, int64_t i0, int64_t rows, T* dst) const {
    const int width = static_cast<int>(mr);
    if (call.trans_a)
      return kernels.pack_rows(depth, rows, width, call.a + p0 * call.lda + i0, call.lda, dst,
                               mr * depth);
    for (int64_t i = 0; i < rows; i += mr)
      kernels.pack_transposed(depth, static_cast<int>(std::min(mr, rows - i)), width,
                              call.a + (i0 + i) * call.lda + p0, call.lda, dst + i * depth);
  }

  // What is packed and multiplied at a time: k in [q0, q1), tiles [ip0, ip1) x [jp0, jp1).
  struct Pass {
    int64_t q0, q1, ip0, ip1, jp0, jp1;
    T *packed_a, *packed_b; // by blocks of k, in these by panels; null where not packed
  };

  T* a_at(const Pass& s, int64_t p0, int64_t depth, int64_t ip) const {
    return s.packed_a + ((p0 - s.q0) * (s.ip1 - s.ip0) + (ip - s.ip0) * depth) * mr;
  }
  T* b_at(const Pass& s, int64_t p0, int64_t depth, int64_t jp) const {
    return s.packed_b + ((p0 - s.q0) * (s.jp1 - s.jp0) + (jp - s.jp0) * depth) * kernels.nr;
  }

  void pack(const Pass& s, bool again) const {
    constexpr int64_t kTogether = 16; // panels that are packed at a time, for long rows
    const int64_t nr = kernels.nr;
    const int64_t of_b = s.packed_b != nullptr && !again ? ceil_div(s.jp1 - s.jp0, kTogether) : 0;
    const int64_t of_a = s.packed_a != nullptr ? ceil_div(s.ip1 - s.ip0, kTogether) : 0;
    const int64_t blocks = ceil_div(s.q1 - s.q0, kb), units = of_a + of_b;
    const int64_t grain = std::max<int64_t>(1, kPackGrain / (kTogether * nr * kb));
    parallel_for(blocks * units, grain, [&](int64_t unit, int64_t end) {
      for (; unit < end; unit++) {
        const int64_t p0 = s.q0 + unit / units * kb, depth = std::min(kb, s.q1 - p0);
        const int64_t i = unit % units;
        if (i < of_b) {
          const int64_t jp = s.jp0 + i * kTogether, last = std::min(s.jp1, jp + kTogether);
          pack_b_panels(p0, depth, jp * nr, std::min(call.n, last * nr) - jp * nr,
                        b_at(s, p0, depth, jp));
        } else {
          const int64_t ip = s.ip0 + (i - of_b) * kTogether, last = std::min(s.ip1, ip + kTogether);
          pack_a_panels(p0, depth, ip * mr, std::min(call.m, last * mr) - ip * mr,
                        a_at(s, p0, depth, ip));
        }
      }
    });
  }

  // The tiles [ip0, ip1) of one column of tiles, whose B is at (b, bs).
  void column_of_tiles(const Pass& s, int64_t p0, int64_t depth, int64_t ip0, int64_t ip1,
                       int64_t j0, int cols, const T* b, int64_t bs) const {
    const auto* tile = kernels.tile[cols > kernels.lanes];
    const bool filled = p0 == 0 && call.d != call.c && call.beta != T(0);
    const T beta = p0 == 0 && !filled ? call.beta : T(1);
    for (int64_t ip = ip0; ip < ip1; ip++) {
      const int64_t i0 = ip * mr;
      const int rows = static_cast<int>(std::min(mr, call.m - i0));
      const T* a;
      int64_t rs, cs;
      if (s.packed_a != nullptr) {
        a = a_at(s, p0, depth, ip), rs = 1, cs = mr;
      } else if (call.trans_a) {
        a = call.a + p0 * call.lda + i0, rs = 1, cs = call.lda;
      } else {
        a = call.a + i0 * call.lda + p0, rs = call.lda, cs = 1;
      }
      if (filled) call.prefill(i0, i0 + rows, j0, cols); // the tile finds it in the nearest cache
      tile[rows - 1](depth, a, rs, cs, b, bs, call.c + i0 * call.ldc + j0, call.ldc, cols,
                     call.alpha, beta);
    }
  }

  void rectangle(const Pass& s, int64_t ip0, int64_t ip1, int64_t jp0, int64_t jp1) const {
    const int64_t nr = kernels.nr;
    for (int64_t p0 = s.q0; p0 < s.q1; p0 += kb) {
      const int64_t depth = std::min(kb, s.q1 - p0);
      for (int64_t jp = jp0; jp < jp1; jp++) {
        const int64_t j0 = jp * nr;
        const int cols = static_cast<int>(std::min(nr, call.n - j0));
        const T* b = call.b + p0 * call.ldb + j0;
        int64_t bs = call.ldb;
        if (s.packed_b != nullptr) {
          b = b_at(s, p0, depth, jp), bs = nr;
        } else if (pack_b || (cols < nr && !kernels.direct_edge)) {
          T* own = workspace<T>(kSlotX, nr * kb);
          pack_b_panels(p0, depth, j0, cols, own);
          b = own, bs = nr;
        }
        column_of_tiles(s, p0, depth, ip0, ip1, j0, cols, b, bs);
      }
    }
  }

  void multiply(const Pass& s) const {
    const int64_t grid_n = ceil_div(s.jp1 - s.jp0, step_n);
    const int64_t chunks = ceil_div(s.ip1 - s.ip0, step_m) * grid_n;
    parallel_for(chunks, 1, [&](int64_t chunk, int64_t end) {
      for (; chunk < end; chunk++) {
        const int64_t i0 = s.ip0 + chunk / grid_n * step_m, j0 = s.jp0 + chunk % grid_n * step_n;
        rectangle(s, i0, std::min(s.ip1, i0 + step_m), j0, std::min(s.jp1, j0 + step_n));
      }
    });
  }

  void run() const {
    const int64_t k = call.k, nr = kernels.nr;
    int64_t most_m = panels_m, most_n = panels_n;
    if (pack_a) most_m = std::min(panels_m, ceil_div(4096 / mr, step_m) * step_m);
    if (share_b) most_n = std::min(panels_n, ceil_div(4096 / nr, step_n) * step_n);
    const int64_t packed = std::max(pack_a ? most_m * mr : 1, share_b ? most_n * nr : 1);
    const int64_t deep = std::min(k, std::max<int64_t>(1, kPassItems / packed / kb) * kb);
    T* packed_b = share_b ? workspace<T>(kSlotB, most_n * nr * deep) : nullptr;
    T* packed_a = pack_a ? workspace<T>(kSlotA, most_m * mr * deep) : nullptr;
    for (int64_t jp = 0; jp < panels_n; jp += most_n)
      for (int64_t q0 = 0; q0 < k; q0 += deep)
        for (int64_t ip = 0; ip < panels_m; ip += most_m) {
          const Pass pass{
              q0, std::min(k, q0 + deep),          ip,       std::min(panels_m, ip + most_m),
              jp, std::min(panels_n, jp + most_n), packed_a, packed_b};
          pack(pass, ip > 0);
          multiply(pass);
        }
  }
};

// Few results of long sums: parts of k side by side, then their sum in order.
template<class T>
bool gemm_by_parts(const GemmCall<T>& call) {
  const int64_t size = call.m * call.n;
  const double work = double(size) * double(call.k);
  if (size > 4096 || work < 2 * kSplitWork || call.k < 8 * std::max(call.m, call.n)) return false;
  const int64_t parts = std::min<int64_t>(16, static_cast<int64_t>(work / kSplitWork));
  const int64_t depth = ceil_div(ceil_div(call.k, parts), 16) * 16;
  T* sums = workspace<T>(kSlotSums, parts * size);
  parallel_for(ceil_div(call.k, depth), 1, [&](int64_t part, int64_t end) {
    for (; part < end; part++) {
      GemmCall<T> one = call;
      one.k = std::min(depth, call.k - part * depth);
      one.a += part * depth * (call.trans_a ? call.lda : 1);
      one.b += part * depth * (call.trans_b ? 1 : call.ldb);
      one.c = sums + part * size, one.ldc = call.n;
      one.d = one.c, one.ldd = one.ldc, one.beta = 0;
      Product<T>(one).run();
    }
  });
  for (int64_t part = 1; part * depth < call.k; part++)
    for (int64_t i = 0; i < size; i++) sums[i] += sums[part * size + i];
  for (int64_t i = 0; i < call.m; i++)
    for (int64_t j = 0; j < call.n; j++) {
      const T sum = sums[i * call.n + j];
      T& c = call.c[i * call.ldc + j];
      c = call.beta == T(0) ? sum : sum + call.beta * call.d[i * call.ldd + j];
    }
  return true;
}

} // namespace

template<class T>
void gemm_small(int64_t batch, const GemmCall<T>& g, int64_t sa, int64_t sb, int64_t sc) {
  gemm_kernels<T>().small(batch, static_cast<int>(g.m), static_cast<int>(g.n),
                          static_cast<int>(g.k), g.alpha, g.a, g.trans_a ? 1 : g.lda,
                          g.trans_a ? g.lda : 1, sa, g.b, g.trans_b ? 1 : g.ldb,
                          g.trans_b ? g.ldb : 1, sb, g.beta, g.c, g.ldc, sc);
}
template void gemm_small<float>(int64_t, const GemmCall<float>&, int64_t, int64_t, int64_t);
template void gemm_small<double>(int64_t, const GemmCall<double>&, int64_t, int64_t, int64_t);

namespace {

template<class T>
void gemm_real(GemmCall<T> call) {
  if (call.m <= 0 || call.n <= 0) return;
  if (call.d == nullptr) call.d = call.c, call.ldd = call.ldc;
  if (call.k <= 0 || call.alpha == T(0)) return call.prefill(0, call.m, 0, call.n);
  if (std::max({call.m, call.n, call.k}) <= kSmall) {
    if (call.d != call.c && call.beta != T(0)) call.prefill(0, call.m, 0, call.n), call.beta = 1;
    return gemm_small(1, call, 0, 0, 0);
  }
  if (gemm_as_vectors(call) || gemm_by_parts(call)) return;
  Product<T>(call).run();
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
template<class U>
const IntegerKernel<U>& integer_kernel() {
  static const IntegerKernel<U>* const table = cpu_isa() == 2   ? avx512::integer_table<U>()
                                               : cpu_isa() == 1 ? avx2::integer_table<U>()
                                                                : base::integer_table<U>();
  return *table;
}
template const IntegerKernel<uint16_t>& integer_kernel<uint16_t>();
template const IntegerKernel<uint32_t>& integer_kernel<uint32_t>();
template const IntegerKernel<uint64_t>& integer_kernel<uint64_t>();
template const GemmKernels<float>& gemm_kernels<float>();
template const GemmKernels<double>& gemm_kernels<double>();

#define FLAMBEAU_REAL(T)                                                                         \
  template<>                                                                                     \
  void gemm<T>(bool trans_a, bool trans_b, int64_t m, int64_t n, int64_t k, T alpha, const T* a, \
               int64_t lda, const T* b, int64_t ldb, T beta, T* c, int64_t ldc, const T* d,      \
               int64_t ldd) {                                                                    \
    gemm_real<T>({trans_a, trans_b, m, n, k, alpha, a, lda, b, ldb, beta, d, ldd, c, ldc});      \
  }
FLAMBEAU_REAL(float)
FLAMBEAU_REAL(double)

} // namespace flambeau
