// The place from which the random numbers of a CUDA graph's replay start.
//! needs: types.cuh

extern "C" __global__ void set_counter(uint64_t* cell, uint64_t seed, uint64_t offset) {
  cell[0] = seed;
  cell[1] = offset;
}
