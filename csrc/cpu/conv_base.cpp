// Convolution kernels for the base instruction set.
#define FLAMBEAU_ISA base
#include "conv_impl.h"
#include "conv_winograd_impl.h"
