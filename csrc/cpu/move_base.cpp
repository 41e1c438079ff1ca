// Moves and conversions for the base instruction set.
#define FB_KERNEL_SPACE move_base
#include "move_kernels.inc"
