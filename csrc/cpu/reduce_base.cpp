// The reduction loops for the base instruction set.
#define FB_KERNEL_SPACE reduce_base
#define FB_VEC_BYTES 16
#include "reduce_kernels.inc"
