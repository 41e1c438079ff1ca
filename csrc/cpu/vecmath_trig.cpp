// sin, cos, tan, fmod: the scalar functions, and their vector versions for any x86-64.
#if defined(__x86_64__)
#define FB_TRIG_LETTER b
#define FB_TRIG_BYTES 16
#define FB_TRIG_FLOATS N4
#define FB_TRIG_DOUBLES N2
#endif
#include "vecmath_trig.inc"

#define FB_TRIG_SCALAR(F, T, name)                               \
  extern "C" __attribute__((visibility("hidden"))) T name(T x) { \
    return m::abs(x) <= F::near ? F::usual(x) : F::any(x);       \
  }
FB_TRIG_SCALAR(SinF, float, flambeau_sinf)
FB_TRIG_SCALAR(CosF, float, flambeau_cosf)
FB_TRIG_SCALAR(TanF, float, flambeau_tanf)
FB_TRIG_SCALAR(SinD, double, flambeau_sin)
FB_TRIG_SCALAR(CosD, double, flambeau_cos)
FB_TRIG_SCALAR(TanD, double, flambeau_tan)

extern "C" __attribute__((visibility("hidden"))) float flambeau_fmodf(float a, float b) {
  return FmodF::any(a, b);
}
extern "C" __attribute__((visibility("hidden"))) double flambeau_fmod(double a, double b) {
  return FmodD::any(a, b);
}
