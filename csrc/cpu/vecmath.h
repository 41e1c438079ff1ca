// Elementwise math: exp, log, sin, ... for float, double, complex, made to be vectorised.
//
// Compile the loops with -O3 -fno-math-errno -fno-trapping-math (never -ffast-math). Functions are
// branch-free and stay within 2 ulp on the whole range (infinities, NaN, -0 and denormals
// included). sin, cos, tan are vector functions of vecmath_trig.cpp and its instruction-set copies;
// without FMA double pow is the C library's.
#pragma once
#include "vecmath_complex.h"
#include "vecmath_core.h"
#include "vecmath_f32.h"
#include "vecmath_f64.h"
#include "vecmath_integer.h"
#include "vecmath_trig.h"
