// The reduction loops for the avx512 instruction set.
#define FB_KERNEL_SPACE reduce_avx512
#define FB_VEC_BYTES 64
#include "reduce_kernels.inc"
