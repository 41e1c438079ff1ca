// The gradient of a two-dimensional convolution for its weight, as packed matrix products.
#include <type_traits>
#include <vector>

#include "conv.h"
#include "conv_kernels.h"
#include "conv_source.h"
#include "conv_winograd.h"
#include "gemm_kernels.h"
#include "parallel.h"

namespace flambeau {

namespace {

constexpr int64_t kChunkWork = 1 << 17;    // multiply-adds that are worth a chunk
constexpr int64_t kSmallWeight = 1 << 17;  // elements of which several copies are cheap
constexpr int64_t kSourceBudget = 1 << 17; // elements of a prepared source, which lives in L2
constexpr int64_t kDepth = 512;            // pixels of one packed block
constexpr int64_t kTapDepth = 384; // the same where tiles are taps by channels: x then fits L1

// dw[g, m, column] = sum over images and pixels of dy[m, pixel] * x[pixel moved by the column's
// tap], where a column is a (channel, tap). Chunks split columns by channel, or images.
template<class T>
struct WeightGradient {
  const GemmKernels<T>& gemm = gemm_kernels<T>();
  const ConvKernels<T>& conv = conv_kernels<T>();
  const ConvShape& s;
  int64_t m, channels, taps, columns, pixels;
  int64_t image_blocks, channel_blocks, images_each, channels_each;
  int64_t source_rows; // output rows whose source is prepared at a time
  ConvSource source;
  std::vector<int64_t> offsets;

  bool by_channel; // tiles are taps by vectors of output channels, and x is not packed
  std::vector<int64_t> pixel_offsets = {};
  bool by_plane; // one output and one input channel a group: nothing is packed
  std::vector<int64_t> slot_from = {}, slot_to = {};
  std::vector<int> slot_lanes = {};

  explicit WeightGradient(const ConvShape& shape) : s(shape) {
    m = s.c_out / s.groups;
    channels = s.c_in / s.groups;
    taps = s.kh * s.kw;
    columns = channels * taps;
    by_plane = m == 1 && channels == 1;
    const int64_t lanes = gemm.lanes;
    by_channel = !by_plane && taps > 1 &&
                 double(ceil_div(m, lanes) * lanes) / m <=
                     double(ceil_div(columns, lanes) * lanes) / columns + 3.0 / m;
    pixels = s.oh * s.ow;
    split();
    plan_source();
  }

  void split() {
    const double image_work = double(m) * columns * pixels * s.groups;
    image_blocks = channel_blocks = 1;
    if (s.groups >= 16) {
      // The groups are chunks enough.
    } else if (s.n > 1 && s.c_out * columns <= kSmallWeight) {
      const auto least = static_cast<int64_t>(std::min(double(s.n), kChunkWork / image_work + 1));
      image_blocks = std::min<int64_t>(16, ceil_div(s.n, least));
    } else {
      channel_blocks =
          std::clamp<int64_t>(columns / (2 * gemm.nr), 1, std::min<int64_t>(8, channels));
    }
    images_each = ceil_div(s.n, image_blocks);
    image_blocks = ceil_div(s.n, images_each);
    channels_each = ceil_div(channels, channel_blocks);
    channel_blocks = ceil_div(channels, channels_each);
  }

  void plan_source() {
    const int64_t span_h = (s.kh - 1) * s.dil_h + 1, span_w = (s.kw - 1) * s.dil_w + 1;
    source = {.channels = channels_each,
              .h = s.h,
              .w = s.w,
              .top = s.pad_h,
              .left = s.pad_w,
              .rows = 0,
              .width = (s.ow - 1) * s.stride_w + span_w,
              .row_mul = s.stride_h,
              .col_mul = s.stride_w,
              .phase_width = 0,
              .row_step = 0,
              .channel_step = 0,
              .in_place = false};
    const int64_t row_size = channels_each * (source.width + s.stride_w) * s.stride_h;
    source_rows = std::clamp<int64_t>(kSourceBudget / row_size - span_h, 1, s.oh);
    source_rows = std::max(source_rows, std::min(s.oh, ceil_div(256, s.ow)));
    source_rows = ceil_div(s.oh, ceil_div(s.oh, source_rows));
    source.rows = (source_rows - 1) * s.stride_h + span_h;
    source.plan((s.oh - 1) * s.stride_h + span_h);
    if (by_channel)
      for (int64_t r = 0; r < source_rows; r++)
        for (int64_t c = 0; c < s.ow; c++)
          pixel_offsets.push_back(r * s.stride_h * source.row_step + c);
    if (by_plane)
      for (int64_t r = 0; r < source_rows; r++)
        for (int64_t c = 0; c < s.ow; c += gemm.lanes) {
          slot_from.push_back(r * s.stride_h * source.row_step + c);
          slot_to.push_back(r * s.ow + c);
          slot_lanes.push_back(static_cast<int>(std::min<int64_t>(gemm.lanes, s.ow - c)));
        }
    for (int64_t c = 0; c < channels_each; c++)
      for (int64_t i = 0; i < s.kh; i++)
        for (int64_t j = 0; j < s.kw; j++)
          offsets.push_back(source.offset(c, i * s.dil_h, j * s.dil_w));
  }

  void run(const T* x, const T* dy, T* dw) {
    const int64_t size = s.c_out * columns;
    T* out = image_blocks == 1 ? dw : workspace<T>(kSlotPartial, image_blocks * size);
    const int64_t units = image_blocks * s.groups * channel_blocks;
    const double work = double(m) * channels_each * taps * pixels * images_each;
    const auto grain = static_cast<int64_t>(std::clamp(kChunkWork / work, 1.0, 1e6));
    parallel_for(units, grain, [&](int64_t i, int64_t end) {
      int64_t bordered = -1;
      for (; i < end; i++) {
        const int64_t block = i / channel_blocks % s.groups, images = i / channel_blocks / s.groups;
        unit(block, i % channel_blocks * channels_each, images, x, dy, out + images * size,
             bordered);
      }
    });
    if (image_blocks == 1) return;
    parallel_for(size, 1 << 14, [&](int64_t i0, int64_t i1) {
      for (int64_t i = i0; i < i1; i++) dw[i] = out[i];
      for (int64_t b = 1; b < image_blocks; b++)
        for (int64_t i = i0; i < i1; i++) dw[i] += out[b * size + i];
    });
  }

  // The columns of channels [c0, c0 + channels_each) of group g, summed over one block of images.
  void unit(int64_t g, int64_t c0, int64_t image_block, const T* x, const T* dy, T* out,
            int64_t& bordered) const {
    const int64_t count = std::min(channels_each, channels - c0);
    if (count != channels_each) bordered = -1; // another layout
    ConvSource part = source;
    part.channels = count;
    T* dw = out + g * m * columns + c0 * taps;
    const int64_t n1 = std::min(s.n, (image_block + 1) * images_each);
    T* sums = by_plane ? workspace<T>(kSlotScratch, taps * gemm.lanes) : nullptr;
    if (by_plane) std::fill_n(sums, taps * gemm.lanes, T(0));
    const int64_t mp = ceil_div(m, gemm.lanes) * gemm.lanes; // sums are [column][mp]
    if (by_channel) {
      sums = workspace<T>(kSlotScratch, (count * taps + 1) * mp);
      std::fill_n(sums + count * taps * mp, mp, T(0));
    }
    bool first = true;
    for (int64_t n = image_block * images_each; n < n1; n++) {
      const int64_t channel = n * s.c_in + g * channels + c0;
      const bool last = channel + count == s.n * s.c_in;
      for (int64_t row = 0; row < s.oh; row += source_rows) {
        const T* base = part.prepare(x + channel * s.h * s.w, row * s.stride_h, last, bordered);
        const int64_t rows = std::min(source_rows, s.oh - row);
        const T* from = dy + (n * s.c_out + g * m) * pixels + row * s.ow;
        if (by_plane)
          conv.correlate_weight(taps, offsets.data(), base, from, slots(rows), sums);
        else if (by_channel)
          add_taps(base, rows * s.ow, from, count * taps, sums, mp, first);
        else
          add_rows(base, rows, from, count * taps, dw, first);
        first = false;
      }
    }
    if (count != channels_each) bordered = -1;
    if (by_channel) conv.transpose(count * taps, m, sums, mp, dw, columns);
    if (by_plane)
      for (int64_t t = 0; t < taps; t++) dw[t] = sum(sums + t * gemm.lanes, gemm.lanes);
  }

  // sums[column][output channel] += over `all` pixels; a row of zeros lies behind them.
  void add_taps(const T* base, int64_t all, const T* dy, int64_t cols, T* sums, int64_t mp,
                bool first) const {
    const int64_t nr = gemm.nr, depth = ceil_div(all, ceil_div(all, kTapDepth));
    const int64_t step = ceil_div(cols, ceil_div(cols, gemm.mr));
    T* packed = workspace<T>(kSlotColumns, mp * depth);
    for (int64_t p0 = 0; p0 < all; p0 += depth) {
      const int64_t len = std::min(depth, all - p0);
      for (int64_t m0 = 0; m0 < m; m0 += nr)
        gemm.pack_transposed(len, static_cast<int>(std::min(nr, m - m0)),
                             static_cast<int>(std::min(nr, mp - m0)), dy + m0 * pixels + p0, pixels,
                             packed + m0 * len);
      const bool fresh = first && p0 == 0;
      for (int64_t i = 0; i < cols; i += step)
        for (int64_t m0 = 0; m0 < m; m0 += nr) {
          const int64_t width = std::min(nr, mp - m0);
          T* out = sums + i * mp + m0;
          conv.gather[width > gemm.lanes][std::min(step, cols - i) - 1](
              len, pixel_offsets.data() + p0, base, offsets.data() + i, packed + m0 * len, width,
              fresh ? sums + cols * mp : out, fresh ? 0 : mp, out, mp, gemm.lanes);
        }
    }
  }

  Slots slots(int64_t rows) const {
    return {rows * ceil_div(s.ow, gemm.lanes), slot_from.data(), slot_to.data(), slot_lanes.data()};
  }

  static T sum(const T* x, int64_t n) { // in halves
    return n == 1 ? *x : sum(x, n / 2) + sum(x + n / 2, n - n / 2);
  }

  void add_rows(const T* base, int64_t rows, const T* dy, int64_t cols, T* dw, bool first) const {
    const int64_t nr = gemm.nr, all = rows * s.ow, panels = ceil_div(cols, nr);
    const int64_t most = std::clamp<int64_t>((1 << 16) / m, 128, kDepth);
    const int64_t depth = ceil_div(all, ceil_div(all, most));
    const bool pack_dy = panels > 2 || pixels * int64_t(sizeof(T)) % 4096 == 0;
    const int64_t panels_m = ceil_div(m, gemm.mr), mr = ceil_div(m, panels_m);
    T* packed = pack_dy ? workspace<T>(kSlotScratch, m * depth) : nullptr;
    T* column_block = workspace<T>(kSlotColumns, (depth + 8) * nr + kConvSlack);
    for (int64_t p0 = 0; p0 < all; p0 += depth) {
      const int64_t len = std::min(depth, all - p0);
      const T beta = first && p0 == 0 ? T(0) : T(1);
      if (pack_dy)
        for (int64_t i = 0; i < m; i += mr) {
          const int count = static_cast<int>(std::min(mr, m - i));
          gemm.pack_transposed(len, count, count, dy + i * pixels + p0, pixels, packed + i * len);
        }
      for (int64_t j = 0; j < cols; j += nr) {
        const int width = static_cast<int>(std::min(nr, cols - j));
        const int stored = gemm.direct_edge ? width : static_cast<int>(nr);
        pack(base, p0, len, j, width, stored, column_block);
        for (int64_t i = 0; i < m; i += mr) {
          const int64_t count = std::min(mr, m - i);
          const T* a = pack_dy ? packed + i * len : dy + i * pixels + p0;
          gemm.tile[width > gemm.lanes][count - 1](
              len, a, pack_dy ? 1 : pixels, pack_dy ? count : 1, column_block, stored,
              dw + i * columns + j, columns, width, T(1), beta);
        }
      }
    }
  }

  void pack(const T* base, int64_t pixel, int64_t len, int64_t j, int width, int stored,
            T* dst) const {
    int64_t row = pixel / s.ow, column = pixel % s.ow;
    const int64_t end = pixel + len;
    for (; pixel < end; row++, column = 0) {
      const int64_t run = std::min(s.ow - column, end - pixel);
      const T* from = base + row * source.row_mul * source.row_step + column;
      conv.pack_taps(run, width, stored, from, offsets.data() + j, dst);
      dst += run * stored;
      pixel += run;
    }
  }
};

} // namespace

template<class T>
void conv2d_backward_weight(const ConvShape& s, const T* x, const T* dy, T* dw) {
  const int64_t size = s.c_out * (s.c_in / s.groups) * s.kh * s.kw;
  if (size == 0) return;
  if (s.n * s.oh * s.ow == 0) {
    std::fill_n(dw, size, T(0));
    return;
  }
  if constexpr (std::is_same_v<T, float>)
    if (winograd_pays(WinogradUse::kWeight, s) && winograd_backward_weight(s, x, dy, dw)) return;
  WeightGradient<T>(s).run(x, dy, dw);
}

template void conv2d_backward_weight<float>(const ConvShape&, const float*, const float*, float*);
template void conv2d_backward_weight<double>(const ConvShape&, const double*, const double*,
                                             double*);

} // namespace flambeau
