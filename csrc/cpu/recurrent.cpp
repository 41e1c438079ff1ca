// The steps of recurrent layers. Rows of the batch do not know each other, so that threads take
// rows and go through all steps alone; a small batch shares the products of each step instead. A
// row's sums are the same in any company, so the rows may be shared out by the number of threads.
#include "recurrent.h"

#include <algorithm>
#include <vector>

#include "gemm.h"
#include "gemm_kernels.h"
#include "parallel.h"

namespace flambeau {
namespace {

enum Slot { kSlotWeights = 6, kSlotZero = 5 };
constexpr int64_t kFewRows = 4;         // fewer are products with vectors
constexpr int64_t kFewSteps = 3;        // fewer do not repay a packed copy of the weights
constexpr int64_t kChunkWork = 1 << 16; // multiply-adds of vectors that are worth a chunk

template<class T>
const CellKernels<T>& kernels() {
  static const CellKernels<T>* const table = cpu_isa() == 2   ? avx512::cell_kernels<T>()
                                             : cpu_isa() == 1 ? avx2::cell_kernels<T>()
                                                              : base::cell_kernels<T>();
  return *table;
}

// A range of gates and the range of weights that belongs to it; a GRU's third gate is apart.
struct Range {
  int64_t gate, weight, count; // in units
};

template<class T>
struct Walk {
  const RecurrentJob<T>& job;
  const GemmKernels<T>& gemms = gemm_kernels<T>();
  const int64_t hidden = job.hidden, width = gates_of(job.cell) * hidden;
  std::vector<int64_t> starts;
  std::vector<Range> ranges;
  bool packed;              // weights as panels
  int64_t panel = gemms.nr; // columns of a packed panel
  T* weights = nullptr;

  explicit Walk(const RecurrentJob<T>& j) : job(j) {
    int64_t at = 0;
    for (int64_t t = 0; t < job.steps; at += job.sizes[t++]) starts.push_back(at);
    if (job.cell == Cell::Gru)
      ranges = {{0, 0, 2 * hidden}, {3 * hidden, 2 * hidden, hidden}};
    else
      ranges = {{0, 0, width}};
    packed = job.steps >= kFewSteps;
    if (few()) panel = 8 * gemms.lanes;
  }

  bool few() const { return job.batch < kFewRows; }
  int64_t panels(int64_t columns) const { return (columns + panel - 1) / panel; }

  // The weights of each range as panels: of their rows, or (backward) of their columns.
  void pack(bool backward) {
    if (backward && few()) packed = false; // rows of the weights suit the products as they are
    if (!packed) return;
    int64_t size = 0;
    for (const Range& r : ranges)
      size += panel * (backward ? panels(hidden) * r.count : panels(r.count) * hidden);
    weights = workspace<T>(kSlotWeights, size);
    T* to = weights;
    for (const Range& r : ranges) {
      const T* from = job.weight + r.weight * hidden;
      const int64_t columns = backward ? hidden : r.count, depth = backward ? r.count : hidden;
      if (backward) gemms.pack_rows(depth, columns, int(panel), from, hidden, to, panel * depth);
      for (int64_t j = 0; j < columns && !backward; j += panel)
        gemms.pack_transposed(depth, int(std::min(panel, columns - j)), int(panel),
                              from + j * hidden, hidden, to + j * depth);
      to += panels(columns) * panel * depth;
    }
  }

  // c (m x columns) += or = a (m x depth) times packed panels.
  void product(int64_t m, int64_t columns, int64_t depth, const T* a, int64_t lda, const T* from,
               T beta, T* c, int64_t ldc) const {
    const int64_t tiles = (m + 5) / 6, mr = std::min<int64_t>((m + tiles - 1) / tiles, gemms.mr);
    for (int64_t j = 0; j < columns; j += panel, from += panel * depth) {
      const int cols = int(std::min(panel, columns - j));
      const auto* tile = gemms.tile[cols > gemms.lanes];
      for (int64_t i = 0; i < m; i += mr)
        tile[std::min(mr, m - i) - 1](depth, a + i * lda, lda, 1, from, panel, c + i * ldc + j, ldc,
                                      cols, T(1), beta);
    }
  }
  // The same for few rows, a panel after another, in parallel.
  void vector_products(int64_t m, int64_t columns, int64_t depth, const T* a, int64_t lda,
                       const T* from, T beta, T* c, int64_t ldc) const {
    const int64_t grain = std::max<int64_t>(1, kChunkWork / (m * panel * depth));
    parallel_for(panels(columns), grain, [&](int64_t p, int64_t end) {
      for (; p < end; p++)
        for (int64_t i = 0; i < m; i++)
          gemms.combine(std::min(panel, columns - p * panel), depth, T(1), from + p * panel * depth,
                        panel, a + i * lda, 1, beta, c + i * ldc + p * panel);
    });
  }
  // By packed panels, which are passed, or by the weights as they are, turned or not.
  const T* multiply(int64_t m, int64_t columns, int64_t depth, const T* a, int64_t lda,
                    const T* from, bool turned, T beta, T* c, int64_t ldc) const {
    if (!packed)
      gemm<T>(false, turned, m, columns, depth, T(1), a, lda, from, hidden, beta, c, ldc);
    else if (few())
      vector_products(m, columns, depth, a, lda, from, beta, c, ldc);
    else
      product(m, columns, depth, a, lda, from, beta, c, ldc);
    return from + panels(columns) * panel * depth;
  }

  // gates (m rows) += h weight^T.
  void to_gates(int64_t m, const T* h, T* gates) const {
    const T* at = weights;
    for (const Range& r : ranges)
      at = multiply(m, r.count, hidden, h, hidden, packed ? at : job.weight + r.weight * hidden,
                    true, T(1), gates + r.gate, width);
  }

  // dh (m rows) = (GRU: +=) dgates weight.
  void to_state(int64_t m, const T* dgates, T* dh) const {
    const T* at = weights;
    T beta = T(job.cell == Cell::Gru);
    for (const Range& r : ranges) {
      at = multiply(m, hidden, r.count, dgates + r.gate, width,
                    packed ? at : job.weight + r.weight * hidden, false, beta, dh, hidden);
      beta = T(1);
    }
  }

  // f(begin, end) for ranges of the batch, in parallel where each walks alone.
  template<class F>
  void for_rows(F&& f) const {
    if (!packed || few()) return f(0, job.batch);
    const int64_t chunks = std::clamp<int64_t>(num_threads(), 1, job.batch / kFewRows);
    parallel_for(job.batch, (job.batch + chunks - 1) / chunks, f);
  }

  // The step at position i of the walk, and its rows among [begin, end).
  int64_t step_at(int64_t i) const { return job.reverse ? job.steps - 1 - i : i; }
  int64_t rows_of(int64_t t, int64_t begin, int64_t end) const {
    return std::min(end, job.sizes[t]) - begin;
  }

  void forward(T* h, T* c) const {
    for_rows([&](int64_t begin, int64_t end) {
      for (int64_t i = 0; i < job.steps; i++) {
        const int64_t t = step_at(i), m = rows_of(t, begin, end), at = starts[t] + begin;
        if (m > 0) step(m, at, h + begin * hidden, c ? c + begin * hidden : nullptr);
      }
    });
  }

  void step(int64_t m, int64_t at, T* h, T* c) const {
    T *gates = job.gates + at * width, *out = job.out + at * hidden;
    to_gates(m, h, gates);
    CellRow<T> row{};
    row.units = row.hidden = hidden;
    for (int64_t i = 0; i < m; i++) {
      row.gates = gates + i * width;
      row.h = out + i * hidden;
      row.h_before = h + i * hidden;
      if (c) row.c_before = c + i * hidden, row.c = job.cells + (at + i) * hidden;
      kernels<T>().forward[int(job.cell)](row);
    }
    std::copy_n(out, m * hidden, h);
    if (c) std::copy_n(job.cells + at * hidden, m * hidden, c);
  }

  // What row b of step t began with: values of the step before, or the first state.
  const T* before(const T* values, const T* first, int64_t t, int64_t b) const {
    const int64_t p = job.reverse ? t + 1 : t - 1;
    const bool none = p < 0 || p >= job.steps || b >= job.sizes[p];
    return none ? first + b * hidden : values + (starts[p] + b) * hidden;
  }

  void backward(const T* dout, const T* zero, T* dh, T* dc, T* dgates, T* previous) const {
    for_rows([&](int64_t begin, int64_t end) {
      for (int64_t i = job.steps - 1; i >= 0; i--) {
        const int64_t t = step_at(i), m = rows_of(t, begin, end);
        if (m <= 0) continue;
        for (int64_t b = begin; b < begin + m; b++) {
          const int64_t at = starts[t] + b;
          CellRow<T> row{};
          row.units = row.hidden = hidden;
          row.gates = job.gates + at * width;
          row.h = job.out + at * hidden;
          row.h_before = before(job.out, job.h0, t, b);
          if (dc) row.c = job.cells + at * hidden, row.c_before = before(job.cells, job.c0, t, b);
          row.dout = dout ? dout + at * hidden : zero;
          row.dh = dh + b * hidden;
          row.dc = dc ? dc + b * hidden : nullptr;
          row.dgates = dgates + at * width;
          kernels<T>().backward[int(job.cell)](row);
          if (previous) std::copy_n(row.h_before, hidden, previous + at * hidden);
        }
        to_state(m, dgates + (starts[t] + begin) * width, dh + begin * hidden);
      }
    });
  }
};

} // namespace

template<class T>
void recurrent_forward(const RecurrentJob<T>& job, T* h_n, T* c_n) {
  const int64_t size = job.batch * job.hidden;
  std::copy_n(job.h0, size, h_n);
  if (c_n) std::copy_n(job.c0, size, c_n);
  Walk<T> walk(job);
  walk.pack(false);
  walk.forward(h_n, c_n);
}

template<class T>
void recurrent_backward(const RecurrentJob<T>& job, const T* dout, T* dh, T* dc, T* dgates,
                        T* previous) {
  T* zero = workspace<T>(kSlotZero, job.hidden);
  std::fill_n(zero, job.hidden, T(0));
  Walk<T> walk(job);
  walk.pack(true);
  walk.backward(dout, zero, dh, dc, dgates, previous);
}

#define FLAMBEAU_RECURRENT(T)                                         \
  template void recurrent_forward<T>(const RecurrentJob<T>&, T*, T*); \
  template void recurrent_backward<T>(const RecurrentJob<T>&, const T*, T*, T*, T*, T*);
FLAMBEAU_RECURRENT(float)
FLAMBEAU_RECURRENT(double)

} // namespace flambeau
