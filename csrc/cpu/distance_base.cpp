// The distance loops for the base instruction set.
#define FB_KERNEL_SPACE distance_base
#define FB_VEC_BYTES 16
#include "distance_kernels.inc"
