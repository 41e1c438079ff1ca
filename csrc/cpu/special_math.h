// Scalar formulas beyond plain vector math: integer and remainder arithmetic, special functions.
#pragma once
#include "special_arith.h"
