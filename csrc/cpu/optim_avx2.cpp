// The fused optimizer loops for the avx2 instruction set.
#define FB_KERNEL_SPACE optim_avx2
#include "optim_kernels.inc"
