// An element combined with one in memory that other threads write too.
//! needs: types.cuh

struct Add {
  template<class T>
  static __forceinline__ T of(T a, T b) {
    return T(a + b);
  }
};
struct Mul {
  template<class T>
  static __forceinline__ T of(T a, T b) {
    return T(a * b);
  }
};
struct Max { // NaN wins
  template<class T>
  static __forceinline__ T of(T a, T b) {
    return b != b || b > a ? b : a;
  }
};
struct Min {
  template<class T>
  static __forceinline__ T of(T a, T b) {
    return b != b || b < a ? b : a;
  }
};

// Compare and swap until no other thread came between; elements of 1 and 2 bytes are swapped
// together with their neighbours in the word of 4.
template<class F, class T>
__forceinline__ void swap_in(T* p, T v) {
  if constexpr (sizeof(T) >= 4) {
    using Word = std::conditional_t<sizeof(T) == 4, unsigned, unsigned long long>;
    Word* word = (Word*)p;
    Word seen, old = *(volatile Word*)word;
    do {
      seen = old;
      const Word next = std::bit_cast<Word>(F::of(std::bit_cast<T>(seen), v));
      if (next == seen) return;
      old = atomicCAS(word, seen, next);
    } while (old != seen);
  } else {
    using Bits = std::conditional_t<sizeof(T) == 1, uint8_t, uint16_t>;
    const unsigned long long at = (unsigned long long)p;
    unsigned* word = (unsigned*)(at & ~3ull);
    const unsigned shift = (unsigned)(at & 3) * 8, mask = (unsigned)Bits(~0) << shift;
    unsigned seen, old = *(volatile unsigned*)word;
    do {
      seen = old;
      const T now = std::bit_cast<T>(Bits(seen >> shift));
      const unsigned bits = std::bit_cast<Bits>(F::of(now, v));
      const unsigned next = (seen & ~mask) | bits << shift;
      if (next == seen) return;
      old = atomicCAS(word, seen, next);
    } while (old != seen);
  }
}

template<class F, class T>
__forceinline__ void combine_into(T* p, T v) {
  constexpr bool adds = std::is_same_v<F, Add>;
  constexpr bool wide = sizeof(T) >= 4 && std::is_integral_v<T>;
  if constexpr (adds && (std::is_floating_point_v<T> || (wide && sizeof(T) == 4)))
    atomicAdd(p, v);
  else if constexpr (adds && wide)
    atomicAdd((unsigned long long*)p, (unsigned long long)v);
  else if constexpr (adds && is_complex_v<T>) {
    atomicAdd(&p->re, v.re);
    atomicAdd(&p->im, v.im);
  } else if constexpr (std::is_same_v<F, Max> && wide)
    atomicMax(p, v);
  else if constexpr (std::is_same_v<F, Min> && wide)
    atomicMin(p, v);
  else
    swap_in<F>(p, v);
}
