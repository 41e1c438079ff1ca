// A copy whose source and target run along different dimensions, by tiles in shared memory, so that
// both sides are read and written in whole lines. B: a type of the elements' size.
//! needs: types.cuh

// dst is dense along x, src along y; the other strides are in elements, z is blockIdx.y.
extern "C" __global__ void __launch_bounds__(256)
    transpose(B* dst, const B* src, i64 nx, i64 ny, i64 dst_y, i64 src_x, i64 dst_z, i64 src_z) {
  __shared__ B tile[32][33];
  const i64 tiles_x = (nx + 31) / 32;
  const i64 x0 = blockIdx.x % tiles_x * 32, y0 = blockIdx.x / tiles_x * 32;
  dst += blockIdx.y * dst_z;
  src += blockIdx.y * src_z;
  const int t = threadIdx.x;
  for (int j = threadIdx.y; j < 32; j += 8)
    if (x0 + j < nx && y0 + t < ny) tile[j][t] = src[(x0 + j) * src_x + y0 + t];
  __syncthreads();
  for (int j = threadIdx.y; j < 32; j += 8)
    if (y0 + j < ny && x0 + t < nx) dst[(y0 + j) * dst_y + x0 + t] = tile[t][j];
}
