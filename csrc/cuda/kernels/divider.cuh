// Division of 32-bit indices by a number known at launch.
//! needs: walk.cuh

struct Divider {
  unsigned size, magic, shift;
};
__device__ __forceinline__ unsigned operator/(unsigned n, Divider d) {
  return quotient(n, d.magic, d.shift);
}
// The remainder of n, which becomes the quotient.
__device__ __forceinline__ int split(unsigned& n, Divider d) {
  const unsigned q = n / d, rest = n - q * d.size;
  n = q;
  return int(rest);
}
