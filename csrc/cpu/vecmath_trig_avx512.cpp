// sin, cos, tan: the vector versions for AVX-512.
#define FB_TRIG_LETTER e
#define FB_TRIG_BYTES 64
#define FB_TRIG_FLOATS N16
#define FB_TRIG_DOUBLES N8
#include "vecmath_trig.inc"
