// Two-dimensional convolution and its gradient for the input, as packed matrix products.
#include "conv.h"

#include <vector>

#include "conv_kernels.h"
#include "conv_source.h"
#include "gemm_kernels.h"
#include "parallel.h"

namespace flambeau {

namespace {

constexpr int64_t kDepth = 512;            // taps times channels of one packed block
constexpr int64_t kColumnBudget = 1 << 16; // elements of packed columns, which live in L2
constexpr int64_t kSourceBudget = 1 << 17; // elements of a prepared source, likewise
constexpr int64_t kChunkWork = 1 << 17;    // multiply-adds that are worth a chunk

struct Tap {
  int64_t row, column; // where it meets the padded source
  int64_t index;       // kh * kw position in the stored weight
};

// Outputs that the same taps serve: all of them, or one residue class when a gradient strides.
struct Phase {
  int64_t first_row, first_column, rows, columns;
  std::vector<Tap> taps;
  std::vector<int64_t> offsets; // of every (channel, tap) in the prepared source
  int64_t weights = 0;          // where its packed weights begin
};

// dst[n, g, m] = sum over channels c and taps of weight[g, m, c, tap] * src[n, g, c, moved by tap].
template<class T>
struct Correlation {
  const GemmKernels<T>& gemm = gemm_kernels<T>();
  const ConvKernels<T>& conv = conv_kernels<T>();
  int64_t n, groups, m, out_h, out_w;
  int64_t step_h = 1, step_w = 1; // between the outputs of a phase
  ConvSource source;
  std::vector<Phase> phases;
  const T* w;
  int64_t w_group, w_m, w_channel; // strides of the stored weight; its taps are neighbours
  const T* bias = nullptr;
  int64_t taps_stored;

  int64_t mr = 0, panels_m = 0, block_rows = 0, blocks = 0, packed_group = 0;
  const T* packed = nullptr;

  int64_t most_rows() const {
    int64_t rows = 0;
    for (const Phase& p : phases) rows = std::max(rows, p.rows);
    return rows;
  }

  // Shifts all taps so that the least lies at the padded source's corner; sizes the source.
  void settle_source() {
    int64_t row_lo = 0, row_hi = 0, col_lo = 0, col_hi = 0, columns = 0;
    bool first = true;
    for (const Phase& p : phases) {
      columns = std::max(columns, p.columns);
      for (const Tap& t : p.taps) {
        row_lo = first ? t.row : std::min(row_lo, t.row);
        row_hi = first ? t.row : std::max(row_hi, t.row);
        col_lo = first ? t.column : std::min(col_lo, t.column);
        col_hi = first ? t.column : std::max(col_hi, t.column);
        first = false;
      }
    }
    for (Phase& p : phases)
      for (Tap& t : p.taps) t.row -= row_lo, t.column -= col_lo;
    source.top = -row_lo;
    source.left = -col_lo;
    source.width = (columns - 1) * source.col_mul + col_hi - col_lo + 1;
    plan_blocks(row_hi - row_lo, columns);
    const int64_t span = row_hi - row_lo + 1;
    source.rows = (block_rows - 1) * source.row_mul + span;
    source.plan((most_rows() - 1) * source.row_mul + span);
    for (Phase& p : phases) {
      p.offsets.reserve(source.channels * p.taps.size());
      for (int64_t c = 0; c < source.channels; c++)
        for (const Tap& t : p.taps) p.offsets.push_back(source.offset(c, t.row, t.column));
    }
  }

  // Rows of output per chunk: enough work, a source that fits L2, few half-filled tiles.
  void plan_blocks(int64_t span, int64_t columns) {
    const int64_t rows = std::max<int64_t>(most_rows(), 1);
    const double row_work = double(m) * source.channels *
                            std::max<int64_t>(1, phases[0].taps.size()) *
                            std::max<int64_t>(columns, 1) * phases.size();
    const auto least =
        static_cast<int64_t>(std::min<double>(double(rows), kChunkWork / row_work + 1));
    const int64_t row_size = source.channels * (columns * source.col_mul + 8) * source.row_mul;
    const int64_t fitting = std::max<int64_t>(1, kSourceBudget / row_size - span);
    const int64_t parts = std::max<int64_t>(1, 8 / std::max<int64_t>(1, n * groups));
    const int64_t target = std::clamp(std::min(fitting, ceil_div(rows, parts)), least, rows);
    block_rows = target;
    double best = 0;
    for (int64_t r = target; r >= std::max(least, (target + 1) / 2); r--) {
      const int64_t pixels = r * columns, left = rows % r * columns;
      const double used = double(rows * columns) / double(rows / r * ceil_div(pixels, gemm.lanes) +
                                                          ceil_div(left, gemm.lanes));
      if (used > best * 1.01) best = used, block_rows = r;
    }
    blocks = ceil_div(rows, block_rows);
  }

  void pack_weights() {
    panels_m = ceil_div(m, gemm.mr);
    mr = ceil_div(m, panels_m);
    panels_m = ceil_div(m, mr);
    packed_group = 0;
    for (Phase& p : phases) {
      p.weights = packed_group;
      packed_group += m * static_cast<int64_t>(p.offsets.size());
    }
    T* dst = workspace<T>(kSlotWeights, groups * packed_group);
    packed = dst;
    const int64_t panel_size = std::max<int64_t>(1, packed_group / panels_m);
    parallel_for(groups * panels_m, std::max<int64_t>(1, (1 << 15) / panel_size),
                 [&](int64_t i, int64_t end) {
                   for (; i < end; i++) pack_panel(i / panels_m, i % panels_m, dst);
                 });
  }

  void pack_panel(int64_t g, int64_t panel, T* dst) const {
    const int64_t m0 = panel * mr, rows = std::min(mr, m - m0);
    const T* from = w + g * w_group + m0 * w_m;
    for (const Phase& p : phases) {
      const int64_t k = p.offsets.size(), taps = p.taps.size();
      T* out = dst + g * packed_group + p.weights + m0 * k;
      if (taps == taps_stored && w_channel == taps) {
        gemm.pack_transposed(k, static_cast<int>(rows), static_cast<int>(rows), from, w_m, out);
        continue;
      }
      for (int64_t c = 0; c < source.channels; c++)
        for (const Tap& t : p.taps)
          for (int64_t i = 0; i < rows; i++) *out++ = from[i * w_m + c * w_channel + t.index];
    }
  }

  void run(const T* src, T* dst) {
    if (n * groups * m * out_h * out_w == 0) return;
    settle_source();
    pack_weights();
    const int64_t pixels = block_rows * phases[0].columns;
    const double work =
        double(m) * std::max<size_t>(1, phases[0].offsets.size()) * pixels * phases.size();
    const auto grain = static_cast<int64_t>(std::clamp(kChunkWork / work, 1.0, 1e6));
    parallel_for(n * groups * blocks, grain, [&](int64_t i, int64_t end) {
      for (; i < end; i++) block(i / blocks, i % blocks * block_rows, src, dst);
    });
  }

  // Output rows [q0, q0 + block_rows) of every phase, for one group of one image.
  void block(int64_t image, int64_t q0, const T* src, T* dst) const {
    const int64_t plane = source.h * source.w, g = image % groups;
    const bool last = image + 1 == n * groups;
    const T* base =
        source.prepare(src + image * source.channels * plane, q0 * source.row_mul, last);
    T* out = dst + image * m * out_h * out_w;
    for (const Phase& p : phases) {
      const int64_t rows = std::min(block_rows, p.rows - q0);
      if (rows <= 0 || p.columns <= 0) continue;
      const int64_t pixels = rows * p.columns;
      if (phases.size() == 1 && step_h == 1 && step_w == 1) {
        matrix_product(p, g, base, pixels, out + q0 * p.columns, out_h * out_w);
        continue;
      }
      T* scratch = workspace<T>(kSlotScratch, m * pixels);
      matrix_product(p, g, base, pixels, scratch, pixels);
      for (int64_t i = 0; i < m; i++)
        for (int64_t r = 0; r < rows; r++) {
          T* row = out + (i * out_h + p.first_row + (q0 + r) * step_h) * out_w + p.first_column;
          const T* from = scratch + i * pixels + r * p.columns;
          for (int64_t c = 0; c < p.columns; c++) row[c * step_w] = from[c];
        }
    }
  }

  void matrix_product(const Phase& p, int64_t g, const T* base, int64_t pixels, T* out,
                      int64_t ldc) const {
    const int64_t nr = gemm.nr, k = p.offsets.size();
    const int64_t kb = std::max<int64_t>(1, ceil_div(k, std::max<int64_t>(1, ceil_div(k, kDepth))));
    const int64_t panels = ceil_div(pixels, nr);
    const int64_t together = std::clamp<int64_t>(kColumnBudget / (kb * nr), 1, panels);
    T* columns = workspace<T>(kSlotColumns, together * kb * nr + kConvSlack);
    const T* weights = packed + g * packed_group + p.weights;
    for (int64_t j0 = 0; j0 < panels; j0 += together) {
      const int64_t j1 = std::min(panels, j0 + together);
      const int64_t first = j0 * nr, width = std::min(pixels, j1 * nr) - first;
      if (bias != nullptr)
        for (int64_t i = 0; i < m; i++) std::fill_n(out + i * ldc + first, width, bias[g * m + i]);
      int64_t p0 = 0;
      do {
        const int64_t depth = std::min(kb, k - p0);
        for (int64_t j = j0; j < j1; j++) {
          const PixelCopies copies = copies_for(p, j * nr, std::min(pixels, (j + 1) * nr));
          conv.pack_pixels(depth, p.offsets.data() + p0, base, copies, static_cast<int>(nr),
                           columns + (j - j0) * kb * nr);
        }
        const T beta = p0 > 0 || bias != nullptr ? T(1) : T(0);
        tiles(weights, k, p0, depth, columns, kb, first, width, out, ldc, beta);
        p0 += kb;
      } while (p0 < k);
    }
  }

  void tiles(const T* weights, int64_t k, int64_t p0, int64_t depth, const T* columns, int64_t kb,
             int64_t first, int64_t width, T* out, int64_t ldc, T beta) const {
    const int64_t nr = gemm.nr;
    for (int64_t m0 = 0; m0 < m; m0 += mr) {
      const int64_t rows = std::min(mr, m - m0);
      const T* a = weights + m0 * k + p0 * rows;
      for (int64_t j = 0; j < width; j += nr) {
        const int cols = static_cast<int>(std::min(nr, width - j));
        gemm.tile[cols > gemm.lanes][rows - 1](depth, a, 1, rows, columns + j * kb, nr,
                                               out + m0 * ldc + first + j, ldc, cols, T(1), beta);
      }
    }
  }

  PixelCopies copies_for(const Phase& p, int64_t pixel, int64_t end) const {
    PixelCopies copies;
    copies.count = 0;
    int64_t row = pixel / p.columns, column = pixel % p.columns;
    for (int to = 0; pixel < end; row++, column = 0) {
      const int64_t run = std::min(p.columns - column, end - pixel);
      const int64_t from = row * source.row_mul * source.row_step + column;
      for (int64_t i = 0; i < run; i += gemm.lanes) {
        copies.from[copies.count] = from + i;
        copies.to[copies.count++] = to + static_cast<int>(i);
      }
      to += static_cast<int>(run);
      pixel += run;
    }
    return copies;
  }
};

// Residues of one dimension of a strided gradient: first output, count, and the taps that meet it.
struct Residue {
  int64_t first, count;
  std::vector<std::pair<int64_t, int64_t>> taps; // (position in the source, index)
};

std::vector<Residue> residues(int64_t size, int64_t kernel, int64_t stride, int64_t pad,
                              int64_t dil) {
  std::vector<Residue> all;
  for (int64_t r = 0; r < stride; r++) {
    Residue residue{((r - pad) % stride + stride) % stride, 0, {}};
    if (residue.first >= size) continue;
    residue.count = ceil_div(size - residue.first, stride);
    for (int64_t i = 0; i < kernel; i++)
      if ((i * dil) % stride == r)
        residue.taps.emplace_back((residue.first + pad - i * dil) / stride, i);
    all.push_back(std::move(residue));
  }
  return all;
}

} // namespace

template<class T>
void conv2d_forward(const ConvShape& s, const T* x, const T* w, const T* bias, T* y) {
  Correlation<T> job;
  const int64_t c = s.c_in / s.groups, taps = s.kh * s.kw;
  job.n = s.n, job.groups = s.groups, job.m = s.c_out / s.groups;
  job.out_h = s.oh, job.out_w = s.ow;
  job.source = {.channels = c,
                .h = s.h,
                .w = s.w,
                .top = 0,
                .left = 0,
                .rows = 0,
                .width = 0,
                .row_mul = s.stride_h,
                .col_mul = s.stride_w,
                .phase_width = 0,
                .row_step = 0,
                .channel_step = 0,
                .in_place = false};
  job.w = w, job.w_m = c * taps, job.w_channel = taps, job.w_group = job.m * job.w_m;
  job.bias = bias, job.taps_stored = taps;
  Phase phase{0, 0, s.oh, s.ow, {}, {}};
  for (int64_t i = 0; i < s.kh; i++)
    for (int64_t j = 0; j < s.kw; j++)
      phase.taps.push_back({i * s.dil_h - s.pad_h, j * s.dil_w - s.pad_w, i * s.kw + j});
  job.phases.push_back(std::move(phase));
  job.run(x, y);
}

template<class T>
void conv2d_backward_input(const ConvShape& s, const T* dy, const T* w, T* dx) {
  Correlation<T> job;
  const int64_t taps = s.kh * s.kw;
  job.n = s.n, job.groups = s.groups, job.m = s.c_in / s.groups;
  job.out_h = s.h, job.out_w = s.w;
  job.step_h = s.stride_h, job.step_w = s.stride_w;
  job.source = {.channels = s.c_out / s.groups,
                .h = s.oh,
                .w = s.ow,
                .top = 0,
                .left = 0,
                .rows = 0,
                .width = 0,
                .row_mul = 1,
                .col_mul = 1,
                .phase_width = 0,
                .row_step = 0,
                .channel_step = 0,
                .in_place = false};
  job.w = w, job.w_m = taps, job.w_channel = job.m * taps;
  job.w_group = job.source.channels * job.w_channel;
  job.taps_stored = -1; // the stored order of taps is the reverse of ours
  for (const Residue& r : residues(s.h, s.kh, s.stride_h, s.pad_h, s.dil_h))
    for (const Residue& q : residues(s.w, s.kw, s.stride_w, s.pad_w, s.dil_w)) {
      Phase phase{r.first, q.first, r.count, q.count, {}, {}};
      for (auto [row, i] : r.taps)
        for (auto [column, j] : q.taps) phase.taps.push_back({row, column, i * s.kw + j});
      job.phases.push_back(std::move(phase));
    }
  job.run(dy, dx);
}

#define FLAMBEAU_CONV(T)                                                               \
  template void conv2d_forward<T>(const ConvShape&, const T*, const T*, const T*, T*); \
  template void conv2d_backward_input<T>(const ConvShape&, const T*, const T*, T*);
FLAMBEAU_CONV(float)
FLAMBEAU_CONV(double)

template<class T>
const ConvKernels<T>& conv_kernels() {
  static const ConvKernels<T>* const table = cpu_isa() == 2   ? avx512::conv_table<T>()
                                             : cpu_isa() == 1 ? avx2::conv_table<T>()
                                                              : base::conv_table<T>();
  return *table;
}
template const ConvKernels<float>& conv_kernels<float>();
template const ConvKernels<double>& conv_kernels<double>();

} // namespace flambeau
