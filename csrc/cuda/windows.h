// Windows that slide over depth, height and width, as kernels see them.
#pragma once
#include "../core/error.h"
#include "divider.h"

namespace flambeau::cuda {

using Triple = int64_t[3]; // depth, height, width; missing ones are 1, or 0 for a padding
inline int64_t volume(const Triple& v) { return v[0] * v[1] * v[2]; }

struct Windows { // as in kernels/windows.cuh
  int in[3], kernel[3], out[3], stride[3], pad[3], dil[3];
  Divider by_in[3], by_out[3], by_stride[3];
  int taps;
  int64_t in_size, out_size;

  Windows(const char* op, const Triple& i, const Triple& k, const Triple& o, const Triple& s,
          const Triple& p, const Triple& dilation) {
    for (int d = 0; d < 3; ++d) {
      for (int64_t v : {i[d], k[d], o[d], s[d], p[d], dilation[d] * k[d]})
        FB_CHECK(v <= INT32_MAX / 4, op, ": a size, stride, padding or dilation of ", v,
                 " is too large for a GPU");
      in[d] = int(i[d]);
      kernel[d] = int(k[d]);
      out[d] = int(o[d]);
      stride[d] = int(s[d]);
      pad[d] = int(p[d]);
      dil[d] = int(dilation[d]);
      by_in[d] = Divider(i[d]);
      by_out[d] = Divider(o[d]);
      by_stride[d] = Divider(s[d]);
    }
    taps = int(volume(k));
    in_size = volume(i);
    out_size = volume(o);
  }
};

} // namespace flambeau::cuda
