// Recurrent cells for the base instruction set.
#define FLAMBEAU_ISA base
#include "recurrent_impl.h"
