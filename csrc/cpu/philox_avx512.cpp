// The Philox loops for the avx512 instruction set.
#define FB_KERNEL_SPACE philox_avx512
#include "philox_kernels.inc"
