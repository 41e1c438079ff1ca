// Windows that slide over depth, height and width, as convolutions and pooling have them.
//! needs: divider.cuh

struct Windows {
  int in[3], kernel[3], out[3], stride[3], pad[3], dil[3];
  Divider by_in[3], by_out[3], by_stride[3];
  int taps;              // of a kernel
  i64 in_size, out_size; // of a channel
};

// Where output o's tap t lies along a dimension, and whether that is inside.
__device__ __forceinline__ bool tap_at(const Windows& w, int d, int o, int t, int& i) {
  i = o * w.stride[d] - w.pad[d] + t * w.dil[d];
  return i >= 0 && i < w.in[d];
}
// Which output has position i under its tap t, if any has.
__device__ __forceinline__ bool output_of(const Windows& w, int d, int i, int t, int& o) {
  const int from = i + w.pad[d] - t * w.dil[d];
  if (from < 0) return false;
  unsigned q = unsigned(from);
  const int rest = split(q, w.by_stride[d]);
  o = int(q);
  return rest == 0 && o < w.out[d];
}
