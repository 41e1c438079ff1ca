// Scalar formulas beyond plain vector math: remainders, gamma and Bessel functions, polynomials.
#pragma once
#include "special_arith.h"
#include "special_bessel.h"
#include "special_gamma.h"
#include "special_poly.h"
