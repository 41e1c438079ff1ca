// Convolution's windows: images to columns, which a matrix product follows, columns back to images,
// and the whole of depthwise convolution.
//
// Defined in front: FB_T, the images' type; FB_COLUMN, that of the columns; for depthwise ones
// FB_KD, FB_KH, FB_KW, the kernel's sizes.
//! needs: types.cuh windows.cuh

typedef FB_T T;
typedef compute_t<T> C;
constexpr int kThreads = 256;

struct Columns {
  const T* images; // (image, channel, in...)
  void* columns;   // (channel and tap) rows of output positions
  i64 image, channel;           // strides of images
  i64 column_row, column_image; // strides of columns
  unsigned count;               // output positions, or image elements, of this launch
  unsigned blocks;              // for a row of columns
  Divider channels;
};

// One row of columns for each tap of each channel: the elements under it, 0 outside.
extern "C" __global__ void __launch_bounds__(kThreads) to_columns(Windows w, Columns g) {
  constexpr int kRepeat = 4; // loads in flight
  const int row = blockIdx.x / g.blocks, tap = row % w.taps;
  const int kw = tap % w.kernel[2], kh = tap / w.kernel[2] % w.kernel[1];
  const int kd = tap / w.kernel[2] / w.kernel[1];
  const T* from = g.images + row / w.taps * g.channel;
  FB_COLUMN* to = (FB_COLUMN*)g.columns + row * g.column_row;
  const unsigned first = blockIdx.x % g.blocks * (kRepeat * kThreads) + threadIdx.x;
  T v[kRepeat];
#pragma unroll
  for (int r = 0; r < kRepeat; ++r) {
    unsigned at = first + r * kThreads;
    if (at >= g.count) break;
    const int ow = split(at, w.by_out[2]), oh = split(at, w.by_out[1]), od = split(at, w.by_out[0]);
    int d, h, x;
    const bool inside = tap_at(w, 0, od, kd, d) & tap_at(w, 1, oh, kh, h) & tap_at(w, 2, ow, kw, x);
    v[r] = inside ? from[at * g.image + ((i64)d * w.in[1] + h) * w.in[2] + x] : T(0);
  }
#pragma unroll
  for (int r = 0; r < kRepeat; ++r) {
    const unsigned at = first + r * kThreads;
    if (at >= g.count) break;
    const unsigned image = at / (unsigned)w.out_size;
    to[image * g.column_image + (at - image * (unsigned)w.out_size)] = FB_COLUMN(v[r]);
  }
}

// The adjoint: each element gathers its columns' values, always in the same order.
extern "C" __global__ void __launch_bounds__(kThreads) from_columns(Windows w, Columns g) {
  const unsigned i = blockIdx.x * kThreads + threadIdx.x;
  if (i >= g.count) return;
  unsigned at = i;
  const int iw = split(at, w.by_in[2]), ih = split(at, w.by_in[1]), id = split(at, w.by_in[0]);
  const int channel = split(at, g.channels);
  const FB_COLUMN* from = (const FB_COLUMN*)g.columns + at * g.column_image +
                          (i64)channel * w.taps * g.column_row;
  C sum = C(0);
  for (int kd = 0; kd < w.kernel[0]; ++kd) {
    int od, oh, ow;
    if (!output_of(w, 0, id, kd, od)) continue;
    for (int kh = 0; kh < w.kernel[1]; ++kh) {
      if (!output_of(w, 1, ih, kh, oh)) continue;
      const FB_COLUMN* row = from + (kd * w.kernel[1] + kh) * w.kernel[2] * g.column_row +
                             ((i64)od * w.out[1] + oh) * w.out[2];
      for (int kw = 0; kw < w.kernel[2]; ++kw)
        if (output_of(w, 2, iw, kw, ow)) sum += C(row[kw * g.column_row + ow]);
    }
  }
  ((T*)g.images)[i] = T(sum);
}

#ifdef FB_KD
// Depthwise: output channel c sees input channel c / multiple alone.
struct Depthwise {
  const T *x, *w, *bias; // bias may be null
  T* y;
  unsigned count; // elements of the result
  int multiple;
  Divider channels; // of the result
};

extern "C" __global__ void __launch_bounds__(kThreads) depthwise(Windows w, Depthwise g) {
  const unsigned i = blockIdx.x * kThreads + threadIdx.x;
  if (i >= g.count) return;
  unsigned at = i;
  const int ow = split(at, w.by_out[2]), oh = split(at, w.by_out[1]), od = split(at, w.by_out[0]);
  const int c = split(at, g.channels);
  const T* x = g.x + ((i64)at * (g.channels.size / g.multiple) + c / g.multiple) * w.in_size;
  const T* weight = g.w + c * w.taps;
  C sum = g.bias ? C(g.bias[c]) : C(0);
#pragma unroll
  for (int kd = 0; kd < FB_KD; ++kd)
#pragma unroll
    for (int kh = 0; kh < FB_KH; ++kh)
#pragma unroll
      for (int kw = 0; kw < FB_KW; ++kw) {
        int d, h, v;
        if (tap_at(w, 0, od, kd, d) & tap_at(w, 1, oh, kh, h) & tap_at(w, 2, ow, kw, v))
          sum = fma(C(weight[(kd * FB_KH + kh) * FB_KW + kw]),
                    C(x[((i64)d * w.in[1] + h) * w.in[2] + v]), sum);
      }
  g.y[i] = T(sum);
}

// x: the gradient of the output; y: that of the input.
extern "C" __global__ void __launch_bounds__(kThreads) depthwise_input(Windows w, Depthwise g) {
  const unsigned i = blockIdx.x * kThreads + threadIdx.x;
  if (i >= g.count) return;
  unsigned at = i;
  const int iw = split(at, w.by_in[2]), ih = split(at, w.by_in[1]), id = split(at, w.by_in[0]);
  const int c = split(at, g.channels);
  C sum = C(0);
  for (int m = 0; m < g.multiple; ++m) {
    const int to = c * g.multiple + m;
    const T* dy = g.x + ((i64)at * g.channels.size * g.multiple + to) * w.out_size;
    const T* weight = g.w + to * w.taps;
#pragma unroll
    for (int kd = 0; kd < FB_KD; ++kd)
#pragma unroll
      for (int kh = 0; kh < FB_KH; ++kh)
#pragma unroll
        for (int kw = 0; kw < FB_KW; ++kw) {
          int d, h, v;
          if (output_of(w, 0, id, kd, d) && output_of(w, 1, ih, kh, h) &&
              output_of(w, 2, iw, kw, v))
            sum = fma(C(weight[(kd * FB_KH + kh) * FB_KW + kw]),
                      C(dy[((i64)d * w.out[1] + h) * w.out[2] + v]), sum);
        }
  }
  g.y[i] = T(sum);
}

// x: the input; w: the gradient of the output; y: that of the weight, a block for each element.
extern "C" __global__ void __launch_bounds__(kThreads)
    depthwise_weight(Windows w, Depthwise g, i64 images) {
  const int c = blockIdx.x / w.taps, tap = blockIdx.x % w.taps;
  const int kw = tap % FB_KW, kh = tap / FB_KW % FB_KH, kd = tap / FB_KW / FB_KH;
  const i64 channels = g.channels.size;
  C sum = C(0);
  for (i64 n = 0; n < images; ++n) {
    const T* x = g.x + (n * (channels / g.multiple) + c / g.multiple) * w.in_size;
    const T* dy = g.w + (n * channels + c) * w.out_size;
    for (unsigned o = threadIdx.x; o < w.out_size; o += kThreads) {
      unsigned at = o;
      const int ow = split(at, w.by_out[2]), oh = split(at, w.by_out[1]);
      int d, h, v;
      if (tap_at(w, 0, int(at), kd, d) & tap_at(w, 1, oh, kh, h) & tap_at(w, 2, ow, kw, v))
        sum = fma(C(dy[o]), C(x[((i64)d * w.in[1] + h) * w.in[2] + v]), sum);
    }
  }
  __shared__ C part[kThreads / 32];
  for (int step = 16; step; step /= 2) sum += __shfl_down_sync(~0u, sum, step);
  if (threadIdx.x % 32 == 0) part[threadIdx.x / 32] = sum;
  __syncthreads();
  if (threadIdx.x) return;
  for (int k = 1; k < kThreads / 32; ++k) sum += part[k];
  g.y[blockIdx.x] = T(sum);
}
#endif
