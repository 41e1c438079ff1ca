// The distance loops for the avx2 instruction set.
#define FB_KERNEL_SPACE distance_avx2
#define FB_VEC_BYTES 32
#include "distance_kernels.inc"
