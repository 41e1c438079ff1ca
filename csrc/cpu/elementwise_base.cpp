// The elementwise loops for the base instruction set.
#define FB_KERNEL_SPACE elem_base
#include "elementwise_kernels.inc"
