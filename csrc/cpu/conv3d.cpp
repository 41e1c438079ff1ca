// Three-dimensional convolution: taps over the depth are more channels of a two-dimensional one.
#include <algorithm>

#include "../core/allocator.h"
#include "conv.h"
#include "conv_source.h"
#include "parallel.h"

namespace flambeau {

namespace {

constexpr int64_t kSlicesBudget = 1 << 22; // elements of the slices that are laid out at a time
constexpr int64_t kCopyGrain = 1 << 15;    // elements that are worth a chunk

template<class T>
struct Buffer {
  size_t bytes;
  T* data;
  explicit Buffer(int64_t count)
      : bytes(size_t(count) * sizeof(T)), data(static_cast<T*>(allocate(bytes))) {}
  Buffer(const Buffer&) = delete;
  ~Buffer() { deallocate(data, bytes); }
};

// Images of the two-dimensional convolution are the output's slices along the depth, its channels
// (channel, tap of the depth): the weight may stay as it is.
template<class T>
struct Slices {
  const Conv3dShape& s;
  const int64_t depth = s.out[0], taps = s.kernel[0], channels = s.c_in * taps;
  const int64_t plane = s.in[1] * s.in[2], out_plane = s.out[1] * s.out[2];
  const int64_t image = s.c_in * s.in[0] * plane, out_image = s.c_out * depth * out_plane;
  // Images at a time.
  const int64_t together = std::clamp<int64_t>(
      kSlicesBudget / std::max<int64_t>(1, depth * channels * plane), 1, std::max<int64_t>(1, s.n));

  ConvShape flat(int64_t images) const {
    return {images * depth, channels, s.in[1],  s.in[2],     s.c_out,     s.kernel[1],
            s.kernel[2],    s.out[1], s.out[2], s.stride[1], s.stride[2], s.pad[1],
            s.pad[2],       s.dil[1], s.dil[2], s.groups};
  }
  int64_t room() const { return together * depth * channels * plane; }
  int64_t out_room() const { return together * out_image; }

  // The slices of some images; what lies in the padding is zero.
  void gather(int64_t images, const T* x, T* to) const {
    parallel_for(images * depth * channels, grain(plane), [&](int64_t i, int64_t end) {
      for (; i < end; i++) {
        const int64_t d = i / channels % depth, c = i % channels / taps;
        const int64_t at = d * s.stride[0] - s.pad[0] + i % taps * s.dil[0];
        const T* from = x + i / (channels * depth) * image + (c * s.in[0] + at) * plane;
        if (at >= 0 && at < s.in[0])
          std::copy_n(from, plane, to + i * plane);
        else
          std::fill_n(to + i * plane, plane, T(0));
      }
    });
  }
  // Its adjoint: each slice of x is the sum of those that gather made of it.
  void scatter(int64_t images, const T* from, T* x) const {
    parallel_for(images * s.c_in * s.in[0], grain(plane), [&](int64_t i, int64_t end) {
      for (; i < end; i++) {
        const int64_t c = i / s.in[0] % s.c_in, first = i / s.in[0] / s.c_in * depth;
        T* to = x + i * plane;
        std::fill_n(to, plane, T(0));
        for (int64_t t = 0; t < taps; t++) {
          const int64_t d = i % s.in[0] + s.pad[0] - t * s.dil[0];
          if (d < 0 || d % s.stride[0] != 0 || d / s.stride[0] >= depth) continue;
          const T* part = from + ((first + d / s.stride[0]) * channels + c * taps + t) * plane;
          for (int64_t j = 0; j < plane; j++) to[j] += part[j];
        }
      }
    });
  }
  // (image, channel, depth) to (image, depth, channel), or back.
  void turn(int64_t images, const T* y, T* slices, bool back) const {
    parallel_for(images * depth * s.c_out, grain(out_plane), [&](int64_t i, int64_t end) {
      for (; i < end; i++) {
        const int64_t d = i / s.c_out % depth, c = i % s.c_out, n = i / s.c_out / depth;
        const int64_t at = ((n * s.c_out + c) * depth + d) * out_plane;
        if (back)
          std::copy_n(slices + i * out_plane, out_plane, const_cast<T*>(y) + at);
        else
          std::copy_n(y + at, out_plane, slices + i * out_plane);
      }
    });
  }
  static int64_t grain(int64_t size) { return kCopyGrain / std::max<int64_t>(1, size) + 1; }

  template<class F>
  void each_pass(F f) const {
    for (int64_t n = 0; n < s.n; n += together) f(n, std::min(together, s.n - n));
  }
};

} // namespace

template<class T>
void conv3d_forward(const Conv3dShape& s, const T* x, const T* w, const T* bias, T* y) {
  const Slices<T> all{.s = s};
  const Buffer<T> in(all.room()), out(all.out_room());
  all.each_pass([&](int64_t n, int64_t images) {
    all.gather(images, x + n * all.image, in.data);
    conv2d_forward<T>(all.flat(images), in.data, w, bias, out.data);
    all.turn(images, y + n * all.out_image, out.data, true);
  });
}

template<class T>
void conv3d_backward_input(const Conv3dShape& s, const T* dy, const T* w, T* dx) {
  const Slices<T> all{.s = s};
  const Buffer<T> in(all.room()), out(all.out_room());
  all.each_pass([&](int64_t n, int64_t images) {
    all.turn(images, dy + n * all.out_image, out.data, false);
    conv2d_backward_input<T>(all.flat(images), out.data, w, in.data);
    all.scatter(images, in.data, dx + n * all.image);
  });
}

template<class T>
void conv3d_backward_weight(const Conv3dShape& s, const T* x, const T* dy, T* dw) {
  const Slices<T> all{.s = s};
  const int64_t size = s.c_out * (all.channels / s.groups) * s.kernel[1] * s.kernel[2];
  std::fill_n(dw, size, T(0));
  const Buffer<T> in(all.room()), out(all.out_room()), part(size);
  all.each_pass([&](int64_t n, int64_t images) {
    all.gather(images, x + n * all.image, in.data);
    all.turn(images, dy + n * all.out_image, out.data, false);
    conv2d_backward_weight<T>(all.flat(images), in.data, out.data, part.data);
    for (int64_t i = 0; i < size; i++) dw[i] += part.data[i];
  });
}

#define FLAMBEAU_CONV3D(T)                                                               \
  template void conv3d_forward<T>(const Conv3dShape&, const T*, const T*, const T*, T*); \
  template void conv3d_backward_input<T>(const Conv3dShape&, const T*, const T*, T*);    \
  template void conv3d_backward_weight<T>(const Conv3dShape&, const T*, const T*, T*);
FLAMBEAU_CONV3D(float)
FLAMBEAU_CONV3D(double)

} // namespace flambeau
