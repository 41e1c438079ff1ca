// The elementwise loops for the avx512 instruction set.
#define FB_KERNEL_SPACE elem_avx512
#include "elementwise_kernels.inc"
