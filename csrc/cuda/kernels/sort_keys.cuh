// Order-preserving unsigned keys of elements, as csrc/ops/sort_keys.h makes them, of as many bits
// as the element has.
//! needs: types.cuh

template<class T>
using KeyOf = std::conditional_t<sizeof(T) == 8, uint64_t, uint32_t>;

// A larger value has a larger key; NaN has the largest, and the two zeros are equal.
template<class T>
__forceinline__ KeyOf<T> key_of(T v) {
  using K = KeyOf<T>;
  constexpr int bits = 8 * sizeof(T);
  constexpr K top = K(1) << (bits - 1), all = top | (top - 1);
  if constexpr (is_half_v<T>) {
    const uint32_t inf = std::is_same_v<T, f16> ? 0x7c00u : 0x7f80u;
    if ((v.bits & 0x7fffu) > inf) return all;
    const uint32_t b = v.bits == 0x8000u ? 0 : v.bits;
    return b ^ (b & 0x8000u ? 0xffffu : 0x8000u);
  } else if constexpr (std::is_floating_point_v<T>) {
    const K b = std::bit_cast<K>(v + T(0));
    return v != v ? all : b & top ? ~b : b | top;
  } else if constexpr (std::is_signed_v<T>) {
    return (K(v) & all) ^ top;
  } else {
    return K(v);
  }
}

template<class T>
__forceinline__ bool is_nan(T v) {
  if constexpr (is_half_v<T>)
    return float(v) != float(v);
  else
    return v != v;
}
