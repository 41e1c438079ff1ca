// Elementwise math: exp, log, sin, ... for float, double, complex, made to be vectorised.
//
// Compile the loops with -O3 -fno-math-errno -fno-trapping-math (never -ffast-math). Float
// functions are branch-free, stay within 2 ulp on the whole range (infinities, NaN, -0, denormals
// included) and need no library. Double sin, cos, tan branch to the C library beyond 1e5.
#pragma once
#include "vecmath_complex.h"
#include "vecmath_core.h"
#include "vecmath_f32.h"
#include "vecmath_f64.h"
