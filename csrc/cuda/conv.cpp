// Lays convolutions out as matrix products over columns: a row for each tap of each input channel,
// a column for each output position.
#include "conv.h"

#include <algorithm>

#include "../core/op.h"
#include "../ops/ops.h"
#include "elementwise.h"
#include "gemm.h"
#include "launch.h"
#include "settings.h"
#include "windows.h"

namespace flambeau::cuda {

namespace {

struct Columns { // as in kernels/conv.cuh
  Pointer images, columns;
  int64_t image, channel, column_row, column_image;
  uint32_t count, blocks;
  Divider channels;
};
struct Depthwise {
  Pointer x, w, bias, y;
  uint32_t count;
  int32_t multiple;
  Divider channels;
};

Windows windows_of(const Conv3dShape& s) {
  return Windows("convolution", s.in, s.kernel, s.out, s.stride, s.pad, s.dil);
}

// A convolution as matrix products of groups.
struct Layout {
  const Conv3dShape& s;
  DType type, sums; // of the tensors; of columns and results that are added up further
  int device;
  int64_t in_size, out_size, taps, rows, in_each, out_each; // rows, channels: of a group
  bool direct;                                              // the images are their own columns
  bool per_image; // a product for each image, else for each group over all images of a chunk
  int64_t chunk;  // images at a time

  Layout(const Conv3dShape& shape, const Tensor& t) : s(shape), type(t.dtype()) {
    sums = compute_type(type);
    device = t.device().index;
    in_size = volume(s.in);
    out_size = volume(s.out);
    taps = volume(s.kernel);
    in_each = s.c_in / s.groups;
    out_each = s.c_out / s.groups;
    rows = in_each * taps;
    direct = taps == 1 && volume(s.stride) == 1 && s.pad[0] + s.pad[1] + s.pad[2] == 0;
    // Small images make narrow products; together they make a wide one.
    constexpr int64_t kWide = 512, kColumnBytes = 256 << 20, kElements = int64_t(1) << 30;
    per_image = s.groups == 1 && (s.n == 1 || direct || out_size >= kWide);
    const int64_t bytes = s.groups * rows * out_size * size_of(sums);
    chunk = std::min({s.n, kColumnBytes / bytes, kElements / (s.c_in * in_size)});
    chunk = std::max<int64_t>(chunk, 1);
  }
  Tensor temporary(const Dims& shape, DType t) const {
    return empty(shape, t, Device{DeviceType::Cuda, int8_t(device)});
  }
  Gemm product(DType out) const {
    Gemm g;
    g.device = device;
    g.in = type;
    g.out = out;
    g.tf32 = settings().conv_tf32 && type == DType::F32;
    return g;
  }
};

// Images first .. first + count of t as columns: (group, row, image, position), or with `apart`
// (image, row, position). The other way round when `back`, into t.
void columns(const Layout& l, const Tensor& t, const Tensor& col, int64_t first, int64_t count,
             bool apart, bool back) {
  const Conv3dShape& s = l.s;
  Windows w = windows_of(s);
  const int64_t image = s.c_in * l.in_size, total = s.groups * l.rows;
  Columns g{};
  g.images = address(t) + Pointer(first * image * t.itemsize());
  g.columns = address(col);
  g.image = image;
  g.channel = l.in_size;
  g.column_row = apart ? l.out_size : count * l.out_size;
  g.column_image = apart ? total * l.out_size : l.out_size;
  g.channels = Divider(s.c_in);
  const int64_t elements = back ? count * image : count * l.out_size;
  FB_CHECK(elements <= UINT32_MAX / 2, "convolution: one image of ", elements,
           " elements is too large for a GPU");
  g.count = uint32_t(elements);
  std::string text = define_type("FB_T", l.type) + define_type("FB_COLUMN", col.dtype());
  constexpr int64_t kBlock = 256, kRepeat = 4;
  if (back)
    return launch(kernel(l.device, "conv", "from_columns", text), l.device,
                  {ceil_div(elements, kBlock)}, {kBlock}, 0, w, g);
  g.blocks = uint32_t(ceil_div(elements, kBlock * kRepeat));
  launch(kernel(l.device, "conv", "to_columns", text), l.device, {total * g.blocks}, {kBlock}, 0, w,
         g);
}

// (images first .. first + count, channels, size) of t, as a view.
Tensor images(const Tensor& t, int64_t first, int64_t count, int64_t channels, int64_t size) {
  return alias_as(t, {count, channels, size}, {channels * size, size, 1},
                  t.offset() + first * channels * size);
}
// The same as a tensor of channels, each with all images one behind the other.
Tensor by_channel(const Tensor& t, int64_t first, int64_t count, int64_t channels, int64_t size) {
  return contiguous(transpose(images(t, first, count, channels, size), 0, 1));
}

Factor factor(const Tensor& t, int64_t offset, bool trans, int64_t ld, int64_t stride) {
  return {address(t) + Pointer(offset * t.itemsize()), trans, ld, stride};
}

template<class F>
void for_chunks(int64_t n, int64_t chunk, F&& f) {
  for (int64_t first = 0; first < n; first += chunk) f(first, std::min(chunk, n - first));
}

Kernel& depthwise_kernel(const Layout& l, const char* entry) {
  std::string text = define_type("FB_T", l.type) + define_type("FB_COLUMN", l.type);
  text += define("FB_KD", l.s.kernel[0]) + define("FB_KH", l.s.kernel[1]) +
          define("FB_KW", l.s.kernel[2]);
  return kernel(l.device, "conv", entry, text);
}
bool is_depthwise(const Conv3dShape& s) {
  constexpr int64_t kMostTaps = 512; // the kernel's loops are unrolled
  return s.groups == s.c_in && s.groups > 1 && volume(s.kernel) <= kMostTaps;
}
// y of out_image elements an image from x of in_image, by launches of fewer than 2^31 of them.
void depthwise(const Layout& l, const char* entry, const Tensor& x, int64_t in_image,
               const Tensor& w, const Tensor& bias, const Tensor& y, int64_t out_image,
               int64_t out_channels) {
  Windows windows = windows_of(l.s);
  const int64_t size = y.itemsize(), most = std::max<int64_t>((int64_t(1) << 30) / out_image, 1);
  FB_CHECK(out_image <= INT32_MAX, "convolution: one image of ", out_image,
           " elements is too large for a GPU");
  for_chunks(l.s.n, most, [&](int64_t first, int64_t count) {
    Depthwise g{address(x) + Pointer(first * in_image * size),
                address(w),
                bias.defined() ? address(bias) : 0,
                address(y) + Pointer(first * out_image * size),
                uint32_t(count * out_image),
                int32_t(l.out_each),
                Divider(out_channels)};
    launch(depthwise_kernel(l, entry), l.device, {ceil_div(int64_t(g.count), int64_t(256))}, {256},
           0, windows, g);
  });
}

} // namespace

void conv_forward(const Conv3dShape& s, const Tensor& x, const Tensor& w, const Tensor& bias,
                  const Tensor& y) {
  NoGrad off;
  Layout l(s, x);
  if (is_depthwise(s))
    return depthwise(l, "depthwise", x, s.c_in * l.in_size, w, bias, y, s.c_out * l.out_size,
                     s.c_out);
  Tensor per_channel = bias.defined() ? view(bias, {1, s.c_out, 1}) : Tensor();
  if (l.per_image && bias.defined())
    copy_values(images(y, 0, s.n, s.c_out, l.out_size), per_channel);
  for_chunks(s.n, l.direct && l.per_image ? s.n : l.chunk, [&](int64_t first, int64_t count) {
    Tensor col = x;
    int64_t from = first * s.c_in * l.in_size;
    if (!l.direct || !l.per_image) {
      col = l.temporary({s.groups * l.rows * count * l.out_size}, l.type);
      columns(l, x, col, first, count, l.per_image, false);
      from = 0;
    }
    Gemm g = l.product(l.per_image ? l.type : l.sums);
    const int64_t width = l.per_image ? l.out_size : count * l.out_size;
    g.batch = l.per_image ? count : s.groups;
    g.m = l.out_each;
    g.n = width;
    g.k = l.rows;
    g.a = factor(w, 0, false, l.rows, l.per_image ? 0 : l.out_each * l.rows);
    g.b = factor(col, from, false, width, l.rows * width);
    g.ldc = width;
    g.stride_c = l.out_each * width;
    Tensor to = images(y, first, count, s.c_out, l.out_size);
    if (l.per_image) {
      g.c = address(to);
      g.add = bias.defined();
      return gemm(g);
    }
    Tensor result = l.temporary({s.c_out, count, l.out_size}, l.sums);
    g.c = address(result);
    gemm(g);
    Tensor in[2] = {transpose(result, 0, 1), per_channel};
    static const Formula kBias{"conv_bias", "a + b"};
    bias.defined() ? run_formula(kBias, l.sums, l.sums, to, in, 2) : copy_values(to, in[0]);
  });
}

void conv_backward_input(const Conv3dShape& s, const Tensor& dy, const Tensor& w,
                         const Tensor& dx) {
  NoGrad off;
  Layout l(s, dy);
  if (is_depthwise(s))
    return depthwise(l, "depthwise_input", dy, s.c_out * l.out_size, w, {}, dx, s.c_in * l.in_size,
                     s.c_in);
  const bool direct = l.direct && l.per_image;
  for_chunks(s.n, direct ? s.n : l.chunk, [&](int64_t first, int64_t count) {
    Gemm g = l.product(direct ? l.type : l.sums);
    Tensor col = direct ? images(dx, first, count, s.c_in, l.in_size)
                        : l.temporary({s.groups * l.rows * count * l.out_size}, l.sums);
    Tensor from = l.per_image ? images(dy, first, count, s.c_out, l.out_size)
                              : by_channel(dy, first, count, s.c_out, l.out_size);
    const int64_t width = l.per_image ? l.out_size : count * l.out_size;
    g.batch = l.per_image ? count : s.groups;
    g.m = l.rows;
    g.n = width;
    g.k = l.out_each;
    g.a = factor(w, 0, true, l.rows, l.per_image ? 0 : l.out_each * l.rows);
    g.b = factor(from, 0, false, width, l.out_each * width);
    g.c = address(col);
    g.ldc = width;
    g.stride_c = l.rows * width;
    gemm(g);
    if (!direct) columns(l, dx, col, first, count, l.per_image, true);
  });
}

void conv_backward_weight(const Conv3dShape& s, const Tensor& x, const Tensor& dy,
                          const Tensor& dw) {
  NoGrad off;
  Layout l(s, x);
  if (is_depthwise(s)) {
    Depthwise g{address(x),      address(dy),     0, address(dw), uint32_t(dw.numel()),
                int(l.out_each), Divider(s.c_out)};
    return launch(depthwise_kernel(l, "depthwise_weight"), l.device, {dw.numel()}, {256}, 0,
                  windows_of(s), g, s.n);
  }
  Tensor sum = l.sums == l.type ? dw : l.temporary(dw.shape(), l.sums);
  for_chunks(s.n, l.chunk, [&](int64_t first, int64_t count) {
    Tensor col = x;
    int64_t from = first * s.c_in * l.in_size;
    const int64_t width = count * l.out_size;
    if (!l.direct || count > 1) {
      col = l.temporary({s.groups * l.rows * width}, l.type);
      columns(l, x, col, first, count, false, false);
      from = 0;
    }
    Tensor grad = by_channel(dy, first, count, s.c_out, l.out_size);
    Gemm g = l.product(l.sums);
    g.batch = s.groups;
    g.m = l.out_each;
    g.n = l.rows;
    g.k = width;
    g.a = factor(grad, 0, false, width, l.out_each * width);
    g.b = factor(col, from, true, width, l.rows * width);
    g.c = address(sum);
    g.ldc = l.rows;
    g.stride_c = l.out_each * l.rows;
    g.add = first > 0;
    gemm(g);
  });
  if (!sum.is(dw)) copy_values(dw, sum);
}

} // namespace flambeau::cuda
