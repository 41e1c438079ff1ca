// The Philox loops for the avx2 instruction set.
#define FB_KERNEL_SPACE philox_avx2
#include "philox_kernels.inc"
