// sin, cos, tan, fmod: functions with vector versions, so that loops over them vectorise.
//
// Usual arguments take a short path, and one huge argument (far out, exact reduction is long) sends
// its whole vector to the long one. A branch in the formula would keep the loop scalar; a
// vector function (x86 vector function ABI, as glibc's libmvec) may hold it.
#pragma once

#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__)
#define FB_VECTOR_CALL __attribute__((simd("notinbranch"), const, nothrow, visibility("hidden")))
#else
#define FB_VECTOR_CALL __attribute__((const, nothrow, visibility("hidden")))
#endif

extern "C" {
FB_VECTOR_CALL float flambeau_sinf(float x);
FB_VECTOR_CALL float flambeau_cosf(float x);
FB_VECTOR_CALL float flambeau_tanf(float x);
FB_VECTOR_CALL double flambeau_sin(double x);
FB_VECTOR_CALL double flambeau_cos(double x);
FB_VECTOR_CALL double flambeau_tan(double x);
FB_VECTOR_CALL float flambeau_fmodf(float a, float b);
FB_VECTOR_CALL double flambeau_fmod(double a, double b);
}

namespace flambeau::math {

inline __attribute__((always_inline)) float sin(float x) { return flambeau_sinf(x); }
inline __attribute__((always_inline)) float cos(float x) { return flambeau_cosf(x); }
inline __attribute__((always_inline)) float tan(float x) { return flambeau_tanf(x); }
inline __attribute__((always_inline)) double sin(double x) { return flambeau_sin(x); }
inline __attribute__((always_inline)) double cos(double x) { return flambeau_cos(x); }
inline __attribute__((always_inline)) double tan(double x) { return flambeau_tan(x); }
inline __attribute__((always_inline)) float fmod(float a, float b) { return flambeau_fmodf(a, b); }
inline __attribute__((always_inline)) double fmod(double a, double b) {
  return flambeau_fmod(a, b);
}

} // namespace flambeau::math
