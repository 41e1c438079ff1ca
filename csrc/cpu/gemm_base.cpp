// Matrix product kernels for the base instruction set.
#define FLAMBEAU_ISA base
#include "gemm_impl.h"
