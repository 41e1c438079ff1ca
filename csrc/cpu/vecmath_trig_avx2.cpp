// sin, cos, tan: the vector versions for AVX2.
#define FB_TRIG_LETTER d
#define FB_TRIG_BYTES 32
#define FB_TRIG_FLOATS N8
#define FB_TRIG_DOUBLES N4
#include "vecmath_trig.inc"
