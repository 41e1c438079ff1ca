// Row kernels of resizing for the base instruction set.
#define FLAMBEAU_ISA base
#include "resample_impl.h"
