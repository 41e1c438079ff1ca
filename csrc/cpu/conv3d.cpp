// Three-dimensional convolution through an explicit column matrix and the matrix product.
#include <algorithm>

#include "conv.h"
#include "conv_source.h"
#include "gemm.h"
#include "gemm_kernels.h"
#include "parallel.h"

namespace flambeau {

namespace {

int64_t volume(const int64_t (&v)[3]) { return v[0] * v[1] * v[2]; }

// Calls row(k, output position, input position, valid outputs) for each row of the column matrix
// (k over channel and tap) and each output row, where the outputs [begin, end) meet the input.
template<class F>
void for_each_row(const Conv3dShape& s, int64_t k, F row) {
  const int64_t taps = volume(s.kernel), c = k / taps, tap = k % taps;
  const int64_t kd = tap / (s.kernel[1] * s.kernel[2]), kh = tap / s.kernel[2] % s.kernel[1];
  const int64_t shift = tap % s.kernel[2] * s.dil[2] - s.pad[2];
  int64_t begin = shift >= 0 ? 0 : ceil_div(-shift, s.stride[2]);
  int64_t end = s.in[2] > shift ? ceil_div(s.in[2] - shift, s.stride[2]) : 0;
  begin = std::min(begin, s.out[2]);
  end = std::clamp(end, begin, s.out[2]);
  for (int64_t d = 0; d < s.out[0]; d++)
    for (int64_t h = 0; h < s.out[1]; h++) {
      const int64_t id = d * s.stride[0] - s.pad[0] + kd * s.dil[0];
      const int64_t ih = h * s.stride[1] - s.pad[1] + kh * s.dil[1];
      const bool inside = id >= 0 && id < s.in[0] && ih >= 0 && ih < s.in[1];
      row((d * s.out[1] + h) * s.out[2], ((c * s.in[0] + id) * s.in[1] + ih) * s.in[2] + shift,
          inside ? begin : 0, inside ? end : 0);
    }
}

// col[k][pixel]; `image` holds the channels of one group.
template<class T>
void image_to_columns(const Conv3dShape& s, int64_t rows, const T* image, T* col) {
  const int64_t pixels = volume(s.out);
  parallel_for(rows, std::max<int64_t>(1, (1 << 15) / pixels), [&](int64_t k, int64_t last) {
    for (; k < last; k++)
      for_each_row(s, k, [&](int64_t out, int64_t in, int64_t begin, int64_t end) {
        T* to = col + k * pixels + out;
        std::fill(to, to + begin, T(0));
        for (int64_t i = begin; i < end; i++) to[i] = image[in + i * s.stride[2]];
        std::fill(to + end, to + s.out[2], T(0));
      });
  });
}

template<class T>
void add_columns_to_image(const Conv3dShape& s, const T* col, T* image) {
  const int64_t pixels = volume(s.out), taps = volume(s.kernel), channels = s.c_in / s.groups;
  parallel_for(channels, std::max<int64_t>(1, (1 << 15) / (pixels * taps + 1)),
               [&](int64_t c, int64_t last) {
                 for (int64_t k = c * taps; k < last * taps; k++)
                   for_each_row(s, k, [&](int64_t out, int64_t in, int64_t begin, int64_t end) {
                     const T* from = col + k * pixels + out;
                     for (int64_t i = begin; i < end; i++) image[in + i * s.stride[2]] += from[i];
                   });
               });
}

struct Sizes {
  int64_t m, k, pixels, image; // per group: outputs, column rows, output and input elements
  explicit Sizes(const Conv3dShape& s)
      : m(s.c_out / s.groups), k(s.c_in / s.groups * volume(s.kernel)), pixels(volume(s.out)),
        image(s.c_in / s.groups * volume(s.in)) {}
};

} // namespace

template<class T>
void conv3d_forward(const Conv3dShape& s, const T* x, const T* w, const T* bias, T* y) {
  const Sizes z(s);
  if (s.n * s.c_out * z.pixels == 0) return;
  T* col = workspace<T>(kSlotSource, z.k * z.pixels);
  for (int64_t i = 0; i < s.n * s.groups; i++) {
    const int64_t g = i % s.groups;
    T* out = y + i * z.m * z.pixels;
    image_to_columns(s, z.k, x + i * z.image, col);
    for (int64_t c = 0; bias != nullptr && c < z.m; c++)
      std::fill_n(out + c * z.pixels, z.pixels, bias[g * z.m + c]);
    gemm<T>(false, false, z.m, z.pixels, z.k, T(1), w + g * z.m * z.k, z.k, col, z.pixels,
            bias != nullptr ? T(1) : T(0), out, z.pixels);
  }
}

template<class T>
void conv3d_backward_input(const Conv3dShape& s, const T* dy, const T* w, T* dx) {
  const Sizes z(s);
  if (s.n * s.c_in * volume(s.in) == 0) return;
  std::fill_n(dx, s.n * s.groups * z.image, T(0));
  if (z.pixels == 0) return;
  T* col = workspace<T>(kSlotSource, z.k * z.pixels);
  for (int64_t i = 0; i < s.n * s.groups; i++) {
    gemm<T>(true, false, z.k, z.pixels, z.m, T(1), w + i % s.groups * z.m * z.k, z.k,
            dy + i * z.m * z.pixels, z.pixels, T(0), col, z.pixels);
    add_columns_to_image(s, col, dx + i * z.image);
  }
}

template<class T>
void conv3d_backward_weight(const Conv3dShape& s, const T* x, const T* dy, T* dw) {
  const Sizes z(s);
  std::fill_n(dw, s.c_out * z.k, T(0));
  if (z.pixels == 0) return;
  T* col = workspace<T>(kSlotSource, z.k * z.pixels);
  for (int64_t i = 0; i < s.n * s.groups; i++) {
    image_to_columns(s, z.k, x + i * z.image, col);
    gemm<T>(false, true, z.m, z.k, z.pixels, T(1), dy + i * z.m * z.pixels, z.pixels, col, z.pixels,
            T(1), dw + i % s.groups * z.m * z.k, z.k);
  }
}

#define FLAMBEAU_CONV3D(T)                                                               \
  template void conv3d_forward<T>(const Conv3dShape&, const T*, const T*, const T*, T*); \
  template void conv3d_backward_input<T>(const Conv3dShape&, const T*, const T*, T*);    \
  template void conv3d_backward_weight<T>(const Conv3dShape&, const T*, const T*, T*);
FLAMBEAU_CONV3D(float)
FLAMBEAU_CONV3D(double)

} // namespace flambeau
