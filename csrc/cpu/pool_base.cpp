// Row kernels of pooling for the base instruction set.
#define FLAMBEAU_ISA base
#include "pool_impl.h"
