// The elementwise loops for the avx2 instruction set.
#define FB_KERNEL_SPACE elem_avx2
#include "elementwise_kernels.inc"
