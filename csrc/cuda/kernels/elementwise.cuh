// One element's formula over operands of any layout. Defined in front: T (compute type), R (the
// formula's type), O and I0.. (storage types), FB_EACH(M) = M(0) M(1).. over the inputs, FB_VALUE,
// the formula, over FB_PARAMETERS (x; a, b; a, b, c), FB_ARGUMENTS, its inputs v0, v1, v2, and
// LOADn(from), how input n becomes a T.
//! needs: types.cuh walk.cuh

struct Operands {
  i64 n;
  void* out;
  const void* in[3];
  double p[6];
  struct alignas(16) {
    char bytes[16];
  } number[3];
};

// Sizes and byte strides, innermost dimension first; division by a size is a multiply and shift.
template<class S, int N>
struct alignas(sizeof(S) * N) Pack {
  S v[N];
};

#define P(i) T(p[i])
__device__ __forceinline__ R formula(FB_PARAMETERS i64 i, const double* p) { return R(FB_VALUE); }
#define FB_POINTER(k) const I##k* in##k = (const I##k*)g.in[k];
#define FB_NUMBER(k) const T number##k = *(const T*)g.number[k].bytes;

#ifdef FB_PACK
// Operands side by side in memory: FB_PACK elements with one load, FB_REPEAT times.
#define FB_DECLARE(k) Pack<I##k, FB_PACK> pack##k[FB_REPEAT];
#define FB_FETCH(k) FETCH##k(pack##k[r], in##k, at)
#define FB_ELEMENT(k) const T v##k = LOAD##k(pack##k[r].v[j]);
#define FB_ELEMENT_TAIL(k) const T v##k = LOAD##k(in##k[ONE##k ? 0 : i]);
extern "C" __global__ void __launch_bounds__(256) elementwise(Operands g) {
  FB_EACH(FB_POINTER)
  FB_EACH(FB_NUMBER)
  O* out = (O*)g.out;
  const double* p = g.p;
  const i64 first = ((i64)blockIdx.x * FB_REPEAT * 256 + threadIdx.x) * FB_PACK;
  FB_EACH(FB_DECLARE)
  if (first + (i64)(FB_REPEAT - 1) * 256 * FB_PACK + FB_PACK <= g.n) {
#pragma unroll
    for (int r = 0; r < FB_REPEAT; ++r) {
      const i64 at = first + (i64)r * 256 * FB_PACK;
      FB_EACH(FB_FETCH)
    }
#pragma unroll
    for (int r = 0; r < FB_REPEAT; ++r) {
      const i64 at = first + (i64)r * 256 * FB_PACK;
      Pack<O, FB_PACK> result;
#pragma unroll
      for (int j = 0; j < FB_PACK; ++j) {
        const i64 i = at + j;
        FB_EACH(FB_ELEMENT)
        result.v[j] = convert<O>(formula(FB_ARGUMENTS i, p));
      }
      *(Pack<O, FB_PACK>*)(out + at) = result;
    }
    return;
  }
  for (int r = 0; r < FB_REPEAT; ++r)
    for (int j = 0; j < FB_PACK; ++j) {
      const i64 i = first + (i64)r * 256 * FB_PACK + j;
      if (i >= g.n) break;
      FB_EACH(FB_ELEMENT_TAIL)
      out[i] = convert<O>(formula(FB_ARGUMENTS i, p));
    }
}
#else
#define FB_OFFSET(k) i64 offset##k = 0;
#define FB_STEP(k) offset##k += rest * w.stride[k + 1][d];
#define FB_STRIDED(k) const T v##k = LOAD##k(*(const I##k*)((const char*)in##k + offset##k));
extern "C" __global__ void __launch_bounds__(256) elementwise(Operands g, Walk w) {
  FB_EACH(FB_POINTER)
  FB_EACH(FB_NUMBER)
  const double* p = g.p;
  for (i64 i = (i64)blockIdx.x * 256 + threadIdx.x; i < g.n; i += (i64)gridDim.x * 256) {
    FB_INDEX left = (FB_INDEX)i;
    i64 to = 0;
    FB_EACH(FB_OFFSET)
    for (int d = 0; d < w.dims; ++d) {
#ifdef FB_WIDE
      const i64 q = left / w.size[d];
#else
      const unsigned q = quotient(left, w.magic[d], w.shift[d]);
#endif
      const i64 rest = (i64)(left - q * w.size[d]);
      left = q;
      to += rest * w.stride[0][d];
      FB_EACH(FB_STEP)
    }
    FB_EACH(FB_STRIDED)
    *(O*)((char*)g.out + to) = convert<O>(formula(FB_ARGUMENTS i, p));
  }
}
#endif
