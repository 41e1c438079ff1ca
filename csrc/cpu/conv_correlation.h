// The correlation that serves a convolution's output and the gradient for its input.
#pragma once

#include <algorithm>
#include <vector>

#include "conv_kernels.h"
#include "conv_source.h"
#include "gemm_kernels.h"
#include "parallel.h"

namespace flambeau {

struct ConvShape;

// The other way to the gradient for the input, and whether it costs less.
template<class T>
bool columns_are_cheaper(const ConvShape& shape);
template<class T>
void conv2d_backward_input_columns(const ConvShape& shape, const T* dy, const T* w, T* dx);

struct Tap {
  int64_t row, column; // where it meets the padded source
  int64_t index;       // kh * kw position in the stored weight
};

// Outputs that the same taps serve: all of them, or one residue class when a gradient strides.
struct Phase {
  int64_t first_row, first_column, rows, columns;
  std::vector<Tap> taps;
  std::vector<int64_t> offsets = {}; // of every (channel, tap) in the prepared source
  std::vector<int64_t> pixels = {};  // of every output of a block, likewise
  std::vector<int64_t> slot_from = {}, slot_to = {}; // vectors of pixels, row by row
  std::vector<int> slot_lanes = {};
  int64_t weights = 0; // where its packed weights begin
};

// dst[n, g, m] = sum over channels c and taps of weight[g, m, c, tap] * src[n, g, c, moved by tap].
// A tile is either some output channels by vectors of pixels (which are packed first), or some
// pixels by vectors of output channels (by_channel; its result is transposed on the way out).
template<class T>
struct Correlation {
  static constexpr int64_t kDepth =
      256; // taps times channels of one packed block, which lives in L1
  static constexpr int64_t kSourceBudget = 1 << 17; // elements of a prepared source, likewise
  static constexpr int64_t kChunkWork = 1 << 17;    // multiply-adds that are worth a chunk
  static constexpr int64_t kDirectDepth = 160;    // terms whose pixels fit L1 without being packed
  static constexpr int64_t kDirectSlots = 16;     // vectors of pixels that share them
  static constexpr int64_t kPixelsTogether = 224; // pixels that share a reading of the weights

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

  // Small planes: several images share a reading of the weights (by_channel only).
  int64_t images_each = 1, image_step = 0;
  // by_plane: one channel, nothing packed; direct: few terms, the pixels are not packed.
  bool by_channel = false, by_plane = false, direct = false;
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
    int64_t least_columns = out_w;
    bool first = true;
    for (const Phase& p : phases) {
      columns = std::max(columns, p.columns);
      least_columns = std::min(least_columns, p.columns);
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
    choose_tiles(columns, least_columns);
    const int64_t span = row_hi - row_lo + 1;
    source.rows = (block_rows - 1) * source.row_mul + span;
    source.plan((most_rows() - 1) * source.row_mul + span);
    for (Phase& p : phases) {
      p.offsets.reserve(source.channels * p.taps.size());
      for (int64_t c = 0; c < source.channels; c++)
        for (const Tap& t : p.taps) p.offsets.push_back(source.offset(c, t.row, t.column));
      if (by_plane || direct) add_slots(p);
      group_images(p);
      if (by_channel)
        for (int64_t r = 0; r < std::min(block_rows, p.rows); r++)
          for (int64_t c = 0; c < p.columns; c++)
            p.pixels.push_back(r * source.row_mul * source.row_step + c);
      const int64_t one = p.pixels.size();
      for (int64_t i = 1; i < images_each; i++)
        for (int64_t j = 0; j < one; j++) p.pixels.push_back(p.pixels[j] + i * image_step);
    }
  }

  void group_images(const Phase& p) {
    const int64_t plane = p.rows * p.columns, size = source.channels * source.channel_step;
    if (!by_channel || !direct_output() || blocks > 1 || plane == 0) return;
    images_each = ceil_div(kPixelsTogether, plane);
    if (!source.in_place)
      images_each = std::min(images_each, std::max<int64_t>(1, kSourceBudget / size));
    images_each = std::clamp<int64_t>(n, 1, images_each);
    image_step = source.in_place ? groups * source.channels * source.h * source.w : size;
  }

  bool direct_output() const { return phases.size() == 1 && step_h == 1 && step_w == 1; }

  void add_slots(Phase& p) const {
    for (int64_t r = 0; r < std::min(block_rows, p.rows); r++)
      for (int64_t at = 0; at < p.columns; at += gemm.lanes) {
        // The last vector of a row overlaps the one before it.
        const int64_t c = std::max<int64_t>(0, std::min(at, p.columns - gemm.lanes));
        p.slot_from.push_back(r * source.row_mul * source.row_step + c);
        p.slot_to.push_back(r * p.columns + c);
        p.slot_lanes.push_back(static_cast<int>(std::min<int64_t>(gemm.lanes, p.columns - c)));
      }
  }

  // Compares the cycles that a pixel costs for each channel and tap.
  void choose_tiles(int64_t columns, int64_t least_columns) {
    const double lanes = gemm.lanes,
                 k = std::max<double>(1, phases[0].taps.size() * source.channels);
    const double pixels = std::max<double>(1, block_rows * columns);
    const double copies = 1.2 * ceil_div(columns, gemm.lanes) / std::max<double>(1, columns);
    const double waste = double(ceil_div(int64_t(pixels), gemm.lanes)) * lanes / pixels;
    by_plane = m == 1;
    direct = !by_plane && k <= kDirectDepth && least_columns >= gemm.lanes;
    by_channel = !by_plane && !direct && phases[0].taps.size() > 1 &&
                 ceil_div(m, gemm.lanes) + 0.5 * m / k < (m / lanes + copies) * waste;
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
    mr = by_channel ? gemm.nr : ceil_div(m, ceil_div(m, gemm.mr));
    panels_m = ceil_div(m, mr);
    packed_group = 0;
    for (Phase& p : phases) {
      p.weights = packed_group;
      packed_group += panels_m * mr * static_cast<int64_t>(p.offsets.size());
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
    const int64_t m0 = panel * mr, rows = std::min(mr, m - m0), width = panel_width(rows);
    const T* from = w + g * w_group + m0 * w_m;
    for (const Phase& p : phases) {
      const int64_t k = p.offsets.size(), taps = p.taps.size();
      T* out = dst + g * packed_group + p.weights + m0 * k;
      if (taps == taps_stored && w_channel == taps) {
        gemm.pack_transposed(k, static_cast<int>(rows), static_cast<int>(width), from, w_m, out);
        continue;
      }
      if (taps == 1 && w_m == 1) {
        gemm.pack_rows(k, rows, static_cast<int>(width), from + p.taps[0].index, w_channel, out, 0);
        continue;
      }
      for (int64_t c = 0; c < source.channels; c++)
        for (const Tap& t : p.taps) {
          for (int64_t i = 0; i < rows; i++) *out++ = from[i * w_m + c * w_channel + t.index];
          for (int64_t i = rows; i < width; i++) *out++ = T(0);
        }
    }
  }

  // Elements between the rows of a packed panel of `rows` output channels.
  int64_t panel_width(int64_t rows) const {
    return by_channel && !gemm.direct_edge ? ceil_div(rows, gemm.lanes) * gemm.lanes : rows;
  }

  void run(const T* src, T* dst) {
    if (n * groups * m * out_h * out_w == 0) return;
    settle_source();
    pack_weights();
    if (images_each > 1) return run_grouped(src, dst);
    const int64_t pixels = block_rows * phases[0].columns;
    const double work =
        double(m) * std::max<size_t>(1, phases[0].offsets.size()) * pixels * phases.size();
    const auto grain = static_cast<int64_t>(std::clamp(kChunkWork / work, 1.0, 1e6));
    parallel_for(n * groups * blocks, grain, [&](int64_t i, int64_t end) {
      int64_t bordered = -1;
      for (; i < end; i++) block(i / blocks, i % blocks * block_rows, src, dst, bordered);
    });
  }

  // Chunks are some images by some panels of output channels.
  void run_grouped(const T* src, T* dst) const {
    const int64_t image_groups = ceil_div(n, images_each), units = image_groups * groups;
    const int64_t each = ceil_div(panels_m, std::clamp<int64_t>(ceil_div(8, units), 1, panels_m));
    const int64_t parts = ceil_div(panels_m, each), size = source.channels * source.channel_step;
    const int64_t plane = source.h * source.w, pixels = out_h * out_w;
    parallel_for(units * parts, 1, [&](int64_t i, int64_t end) {
      for (; i < end; i++) {
        const int64_t g = i / parts % groups, n0 = i / parts / groups * images_each;
        const int64_t count = std::min(images_each, n - n0), image = n0 * groups + g;
        const T* base = src + image * source.channels * plane;
        if (!source.in_place) {
          T* buffer = workspace<T>(kSlotSource, count * size + kConvSlack);
          std::fill_n(buffer, count * size + kConvSlack, T(0));
          for (int64_t j = 0; j < count; j++)
            source.fill(base + j * groups * source.channels * plane, 0, buffer + j * size);
          base = buffer;
        }
        product_by_channel(phases[0], g, base, count * pixels, i % parts * each,
                           std::min(panels_m, (i % parts + 1) * each), pixels,
                           dst + image * m * pixels, pixels);
      }
    });
  }

  // Output rows [q0, q0 + block_rows) of every phase, for one group of one image.
  void block(int64_t image, int64_t q0, const T* src, T* dst, int64_t& bordered) const {
    const int64_t plane = source.h * source.w, g = image % groups;
    const bool last = image + 1 == n * groups;
    const T* base =
        source.prepare(src + image * source.channels * plane, q0 * source.row_mul, last, bordered);
    T* out = dst + image * m * out_h * out_w;
    for (const Phase& p : phases) {
      const int64_t rows = std::min(block_rows, p.rows - q0);
      if (rows <= 0 || p.columns <= 0) continue;
      const int64_t pixels = rows * p.columns;
      if (direct_output()) {
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
    if (by_plane || direct) return product_in_place(p, g, base, pixels / p.columns, out, ldc);
    if (by_channel) return product_by_channel(p, g, base, pixels, 0, panels_m, pixels, out, ldc);
    const int64_t nr = gemm.nr, k = p.offsets.size();
    const int64_t kb = std::max<int64_t>(1, ceil_div(k, std::max<int64_t>(1, ceil_div(k, kDepth))));
    T* columns = workspace<T>(kSlotColumns, kb * nr + kConvSlack);
    const T* weights = packed + g * packed_group + p.weights;
    for (int64_t first = 0; first < pixels; first += nr) {
      const int64_t width = std::min(nr, pixels - first);
      if (bias != nullptr)
        for (int64_t i = 0; i < m; i++) std::fill_n(out + i * ldc + first, width, bias[g * m + i]);
      const PixelCopies copies = copies_for(p, first, first + width);
      int64_t p0 = 0;
      do {
        const int64_t depth = std::min(kb, k - p0);
        conv.pack_pixels(depth, p.offsets.data() + p0, base, copies, static_cast<int>(nr), columns);
        const T beta = p0 > 0 || bias != nullptr ? T(1) : T(0);
        tiles(weights, k, p0, depth, columns, static_cast<int>(width), out + first, ldc, beta);
        p0 += kb;
      } while (p0 < k);
    }
  }

  // Rows of pixels whose vectors are read where they are.
  void product_in_place(const Phase& p, int64_t g, const T* base, int64_t rows, T* out,
                        int64_t ldc) const {
    const int64_t count = rows * ceil_div(p.columns, gemm.lanes), k = p.offsets.size();
    const T *weights = packed + g * packed_group + p.weights, zeros[16] = {};
    const T* init = bias != nullptr ? bias + g * m : zeros;
    const Slots all{count, p.slot_from.data(), p.slot_to.data(), p.slot_lanes.data()};
    if (by_plane) return conv.correlate(k, p.offsets.data(), base, weights, *init, all, out);
    for (int64_t s = 0; s < count; s += kDirectSlots) {
      const Slots some{std::min(kDirectSlots, count - s), all.from + s, all.to + s, all.lanes + s};
      for (int64_t m0 = 0; m0 < m; m0 += mr)
        conv.direct[std::min(mr, m - m0) - 1](k, p.offsets.data(), base, weights + m0 * k,
                                              bias != nullptr ? init + m0 : init, some,
                                              out + m0 * ldc, ldc);
    }
  }

  // Pixels of images that have `image_pixels` each, times the output channels of some panels.
  void product_by_channel(const Phase& p, int64_t g, const T* base, int64_t pixels, int64_t panel0,
                          int64_t panel1, int64_t image_pixels, T* out, int64_t ldc) const {
    const int64_t nr = gemm.nr, k = p.offsets.size(), most = kPixelsTogether / gemm.mr * gemm.mr;
    T* tile = workspace<T>(kSlotColumns, (most + 1) * nr);
    T* init = tile + most * nr;
    for (int64_t first = 0; first < pixels; first += most) {
      const int64_t count = std::min(most, pixels - first);
      const int64_t step = ceil_div(count, ceil_div(count, gemm.mr));
      for (int64_t m0 = panel0 * nr; m0 < std::min(m, panel1 * nr); m0 += nr) {
        const int64_t rows = std::min(nr, m - m0), vectors = ceil_div(rows, gemm.lanes);
        const T* weights = packed + g * packed_group + p.weights + m0 * k;
        for (int64_t i = 0; i < nr; i++)
          init[i] = bias != nullptr && i < rows ? bias[g * m + m0 + i] : T(0);
        for (int64_t i = 0; i < count; i += step)
          conv.gather[vectors - 1][std::min(step, count - i) - 1](
              k, p.offsets.data(), base, p.pixels.data() + first + i, weights, panel_width(rows),
              init, 0, tile + i * nr, nr, static_cast<int>(rows - (vectors - 1) * gemm.lanes));
        for (int64_t i = 0; i < count;) { // to each image its part
          const int64_t image = (first + i) / image_pixels, at = (first + i) % image_pixels;
          const int64_t part = std::min(count - i, image_pixels - at);
          T* to = out + image * groups * m * image_pixels + m0 * ldc + at;
          conv.transpose(part, rows, tile + i * nr, nr, to, ldc);
          i += part;
        }
      }
    }
  }

  // Some columns, at most nr, of every output channel.
  void tiles(const T* weights, int64_t k, int64_t p0, int64_t depth, const T* columns, int width,
             T* out, int64_t ldc, T beta) const {
    const auto* tile = gemm.tile[width > gemm.lanes];
    for (int64_t m0 = 0; m0 < m; m0 += mr) {
      const int64_t rows = std::min(mr, m - m0);
      tile[rows - 1](depth, weights + m0 * k + p0 * rows, 1, rows, columns, gemm.nr, out + m0 * ldc,
                     ldc, width, T(1), beta);
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

} // namespace flambeau
