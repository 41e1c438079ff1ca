// Moves and conversions for the avx512 instruction set.
#define FB_KERNEL_SPACE move_avx512
#include "move_kernels.inc"
