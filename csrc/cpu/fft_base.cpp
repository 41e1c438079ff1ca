// Fourier transform kernels for the base instruction set.
#define FLAMBEAU_ISA base
#include "fft_impl.h"
