// A triangle of each matrix, zeros elsewhere. Defined in front: FB_T, a type of the elements' size,
// and FB_UPPER.
//! needs: types.cuh

typedef FB_T T;

// A block takes 256 columns of a row at a time; grid: column blocks, rows.
extern "C" __global__ void __launch_bounds__(256)
    triangle(T* out, const T* in, i64 all_rows, i64 rows, i64 columns, i64 diagonal) {
  const i64 c = (i64)blockIdx.x * 256 + threadIdx.x;
  if (c >= columns) return;
  for (i64 r = blockIdx.y; r < all_rows; r += gridDim.y) {
    const i64 at = r >> 32 ? r % rows : (i64)((unsigned)r % (unsigned)rows);
    const i64 edge = at + diagonal;
    const bool keep = FB_UPPER ? c >= edge : c <= edge;
    T v = {};
    if (keep) v = in[r * columns + c];
    out[r * columns + c] = v;
  }
}
