// Several dense tensors side by side in one: rows of each go to their columns of it.
// Defined in front: FB_T, a word that divides every row; FB_WIDE for parts of 2^32 words or more.
//! needs: types.cuh walk.cuh

typedef FB_T T;

struct Part {
  const T* from;
  i64 to, words; // where its first row goes; words in all
  unsigned width, magic, shift;
};
struct Parts {
  Part part[48];
};

// grid.y: the part
extern "C" __global__ void __launch_bounds__(256) cat(T* out, i64 row, Parts parts) {
  const Part& p = parts.part[blockIdx.y];
  T* to = out + p.to;
  for (i64 i = (i64)blockIdx.x * 256 + threadIdx.x; i < p.words; i += gridDim.x * 256ll) {
#ifdef FB_WIDE
    const i64 r = i / p.width;
#else
    const i64 r = quotient((unsigned)i, p.magic, p.shift);
#endif
    to[r * row + (i - r * p.width)] = p.from[i];
  }
}
