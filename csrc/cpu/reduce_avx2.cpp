// The reduction loops for the avx2 instruction set.
#define FB_KERNEL_SPACE reduce_avx2
#define FB_VEC_BYTES 32
#include "reduce_kernels.inc"
