// Strided operands: sizes and byte strides, innermost dimension first. Division by a size is a
// multiply and a shift (Granlund and Montgomery 1994).
//! needs: types.cuh

struct Walk {
  int dims;
  unsigned size[32], magic[32], shift[32];
  i64 stride[4][32];
};

__device__ __forceinline__ unsigned quotient(unsigned n, unsigned magic, unsigned shift) {
  return (unsigned)(((unsigned long long)__umulhi(n, magic) + n) >> shift);
}

// The byte offset of operand K at linear index i < 2^32.
template<int K>
__device__ __forceinline__ i64 offset_at(const Walk& w, unsigned i) {
  i64 at = 0;
  for (int d = 0; d < w.dims; ++d) {
    const unsigned q = quotient(i, w.magic[d], w.shift[d]);
    at += (i64)(i - q * w.size[d]) * w.stride[K][d];
    i = q;
  }
  return at;
}
