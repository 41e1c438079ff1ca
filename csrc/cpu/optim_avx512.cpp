// The fused optimizer loops for the avx512 instruction set.
#define FB_KERNEL_SPACE optim_avx512
#include "optim_kernels.inc"
