// The distance loops for the avx512 instruction set.
#define FB_KERNEL_SPACE distance_avx512
#define FB_VEC_BYTES 64
#include "distance_kernels.inc"
