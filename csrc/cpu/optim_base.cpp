// The fused optimizer loops for the base instruction set.
#define FB_KERNEL_SPACE optim_base
#include "optim_kernels.inc"
