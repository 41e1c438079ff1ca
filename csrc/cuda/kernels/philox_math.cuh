// What the processor's own logarithm and cosine need on the device: random numbers have the same
// bits on both, so they are computed by the same steps, without fused multiply-add.
//! needs: types.cuh
#undef FB_HAVE_FMA
#define __builtin_sqrt ::sqrt
#define __builtin_sqrtf ::sqrtf
#define __builtin_fmod ::fmod
#define __builtin_fmodf ::fmodf
#define __builtin_nextafter ::nextafter
#define __builtin_nextafterf ::nextafterf
#define __builtin_erf ::erf
#define __builtin_erfc ::erfc
#define __builtin_pow ::pow
#define __builtin_hypot ::hypot
__forceinline__ double lgamma_r(double x, int*) { return ::lgamma(x); }
