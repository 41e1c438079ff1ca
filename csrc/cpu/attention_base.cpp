// Attention's chunks for the base instruction set.
#define FLAMBEAU_ISA base
#include "attention_impl.h"
