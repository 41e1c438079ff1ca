// Moves and conversions for the avx2 instruction set.
#define FB_KERNEL_SPACE move_avx2
#include "move_kernels.inc"
