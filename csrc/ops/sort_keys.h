// Order-preserving unsigned keys of elements, and sorting of keys packed with positions.
#pragma once
#include <algorithm>
#include <bit>
#include <memory>
#include <vector>

#include "../core/allocator.h"
#include "../core/op.h"
#include "../cpu/parallel.h"
#include "ops.h"

namespace flambeau {

template<class T>
using KeyOf = std::conditional_t<sizeof(T) == 8, uint64_t, uint32_t>;

template<class T>
constexpr bool kHalf = std::is_same_v<T, f16> || std::is_same_v<T, bf16>;
template<class T>
constexpr bool kFloating = std::is_floating_point_v<T> || kHalf<T>;

// A larger value has a larger key; NaN has the largest, and the two zeros are equal.
template<class T>
inline KeyOf<T> key_of(T v) {
  using K = KeyOf<T>;
  if constexpr (kHalf<T>) {
    uint32_t b = v.bits, inf = std::is_same_v<T, f16> ? 0x7c00u : 0x7f80u;
    if ((b & 0x7fffu) > inf) return 0xffffu;
    b = b == 0x8000u ? 0 : b;
    return b ^ (b & 0x8000u ? 0xffffu : 0x8000u);
  } else if constexpr (std::is_floating_point_v<T>) {
    constexpr K top = K(1) << (8 * sizeof(T) - 1);
    K b = std::bit_cast<K>(v + T(0));
    K k = b & top ? ~b : b | top;
    return v != v ? ~K(0) : k;
  } else if constexpr (std::is_signed_v<T>) {
    return K(std::make_signed_t<K>(v)) ^ (K(1) << (8 * sizeof(K) - 1));
  } else {
    return K(v);
  }
}

// The inverse; of floats only where no NaN and no -0 was among the values.
template<class T>
inline T value_of_key(KeyOf<T> k) {
  using K = KeyOf<T>;
  if constexpr (kHalf<T>) {
    T v;
    v.bits = uint16_t(k ^ (k & 0x8000u ? 0x8000u : 0xffffu));
    return v;
  } else if constexpr (std::is_floating_point_v<T>) {
    constexpr K top = K(1) << (8 * sizeof(T) - 1);
    return std::bit_cast<T>(k & top ? k ^ top : ~k);
  } else if constexpr (std::is_signed_v<T>) {
    return T(std::make_signed_t<K>(k ^ (K(1) << (8 * sizeof(K) - 1))));
  } else {
    return T(k);
  }
}

template<class T>
inline bool is_nan(T v) {
  if constexpr (kHalf<T>)
    return float(v) != float(v);
  else if constexpr (kFloating<T>)
    return v != v;
  else
    return false;
}
// NaN and -0: the values that their key does not give back.
template<class T>
inline bool is_odd(T v) {
  if constexpr (kHalf<T>)
    return v.bits == 0x8000u || is_nan(v);
  else if constexpr (kFloating<T>)
    return (v != v) | (std::bit_cast<KeyOf<T>>(v) == KeyOf<T>(1) << (8 * sizeof(T) - 1));
  else
    return false;
}

// Scratch memory of raw numbers, from the tensors' allocator.
template<class T>
struct Scratch {
  T* p;
  size_t n;
  explicit Scratch(int64_t count) : n(size_t(count) * sizeof(T)) {
    p = static_cast<T*>(allocate(n));
  }
  ~Scratch() { deallocate(p, n); }
  Scratch(const Scratch&) = delete;
  T* get() const { return p; }
};

// Least significant digit first, stable: sorts a by bits [from, from + bits); the result lies in
// a or b, whichever is returned. W: uint32_t or uint64_t.
template<class W>
W* radix_sort(W* a, W* b, int64_t n, int from, int bits) {
  constexpr int kMost = 8; // wider digits spread the writes over too many pages
  int passes = (bits + kMost - 1) / kMost;
  if (!passes) return a;
  int width = (bits + passes - 1) / passes, size = 1 << width;
  constexpr int kTables = 8;
  uint32_t count[kTables << kMost]; // histograms of all passes, made in one walk
  std::fill_n(count, passes * size, 0u);
  W mask = W(size - 1);
  for (int64_t i = 0; i < n; ++i) {
    W v = a[i] >> from;
    for (int p = 0; p < passes; ++p) ++count[p * size + int((v >> (p * width)) & mask)];
  }
  for (int p = 0; p < passes; ++p) {
    uint32_t* c = count + p * size;
    int shift = from + p * width;
    if (c[(a[0] >> shift) & mask] == n) continue;
    uint32_t sum = 0;
    for (int d = 0; d < size; ++d) {
      uint32_t k = c[d];
      c[d] = sum;
      sum += k;
    }
    for (int64_t i = 0; i < n; ++i) {
      W v = a[i];
      b[c[(v >> shift) & mask]++] = v;
    }
    std::swap(a, b);
  }
  return a;
}

constexpr int64_t kSortPart = 32768; // elements of a task; longer rows are sorted in parts
// The same for long rows of words with a position in the lowest 32 bits (sort.cpp).
uint64_t* sort_long(uint64_t* a, uint64_t* b, int64_t n, int bits);

// Sorts numbers whose lowest `from` bits are the position: those need no digit of their own.
template<class W>
W* sort_words(W* a, W* b, int64_t n, int from, int bits) {
  if (n <= 96) {
    std::sort(a, a + n);
    return a;
  }
  if constexpr (sizeof(W) == 8)
    if (n > 2 * kSortPart && from == 32) return sort_long(a, b, n, bits);
  return radix_sort(a, b, n, from, bits);
}

// The keys of a row: their range, and whether they are in order already.
template<class K>
struct KeyRange {
  K low = ~K(0), high = 0;
  bool sorted = true, exact = true; // exact: keys tell the values
  int bits() const { return std::bit_width(K(high - low)); }
};
template<class T>
KeyRange<KeyOf<T>> key_range(const T* x, int64_t from, int64_t n, KeyOf<T> flip) {
  KeyRange<KeyOf<T>> r;
  KeyOf<T> last = from ? key_of(x[from - 1]) ^ flip : 0;
  unsigned down = 0, odd = 0;
  for (int64_t i = from; i < n; ++i) {
    KeyOf<T> k = key_of(x[i]) ^ flip;
    r.low = std::min(r.low, k);
    r.high = std::max(r.high, k);
    down |= k < last;
    last = k;
    odd |= is_odd(x[i]);
  }
  r.sorted = !down;
  r.exact = !odd;
  return r;
}
template<class T>
KeyRange<KeyOf<T>> key_range(const T* x, int64_t n, KeyOf<T> flip) {
  if (n <= kSortPart) return key_range(x, 0, n, flip);
  std::vector<KeyRange<KeyOf<T>>> parts(size_t((n - 1) / kSortPart + 1));
  parallel_for(n, kSortPart, [&](int64_t b, int64_t e) {
    parts[size_t(b / kSortPart)] = key_range(x, b, e, flip);
  });
  KeyRange<KeyOf<T>> all;
  for (const auto& r : parts) {
    all.low = std::min(all.low, r.low);
    all.high = std::max(all.high, r.high);
    all.sorted &= r.sorted;
    all.exact &= r.exact;
  }
  return all;
}

// The stable order of a row's elements: words of (key's leading 32 bits << 32 | position) in
// order. a and b hold n words each; the result lies in the one returned.
template<class T>
uint64_t* order_row(const T* x, int64_t n, bool descending, uint64_t* a, uint64_t* b,
                    KeyRange<KeyOf<T>>& r) {
  using K = KeyOf<T>;
  K flip = descending ? ~K(0) : 0;
  r = key_range(x, n, flip);
  int bits = r.bits(), cut = std::max(bits - 32, 0);
  K low = r.low;
  parallel_for(n, kSortPart, [=](int64_t from, int64_t to) {
    for (int64_t i = from; i < to; ++i)
      a[i] = uint64_t((key_of(x[i]) ^ flip) - low) >> cut << 32 | uint64_t(i);
  });
  if (r.sorted || n < 2) return a;
  uint64_t* s = sort_words(a, b, n, 32, std::min(bits, 32));
  if constexpr (sizeof(K) == 8) {
    // Runs that agree in the leading bits are put in order by the whole key.
    if (cut)
      for (int64_t i = 0; i < n;) {
        int64_t j = i + 1;
        while (j < n && s[j] >> 32 == s[i] >> 32) ++j;
        if (j - i > 1)
          std::sort(s + i, s + j, [&](uint64_t u, uint64_t v) {
            K k = key_of(x[uint32_t(u)]) ^ flip, l = key_of(x[uint32_t(v)]) ^ flip;
            return k != l ? k < l : u < v;
          });
        i = j;
      }
  }
  return s;
}

// The types that have an order, by C++ type: all but the complex ones.
// clang-format off
template<class F>
auto dispatch_ordered(DType t, F&& f) {
  switch (t) {
#define FB_ORDERED(T) FB_CASE(T)
    FB_ORDERED(bool) FB_ORDERED(uint8_t) FB_ORDERED(int8_t) FB_ORDERED(int16_t)
    FB_ORDERED(int32_t) FB_ORDERED(int64_t) FB_ORDERED(uint16_t) FB_ORDERED(uint32_t)
    FB_ORDERED(uint64_t) FB_ORDERED(f16) FB_ORDERED(bf16) FB_ORDERED(float) FB_ORDERED(double)
#undef FB_ORDERED
    default: FB_NOT_IMPLEMENTED("an order of ", t, " values does not exist");
  }
}
// clang-format on

// t with dimension `dim` last and contiguous rows; 0-d tensors become one row of one.
Tensor rows_along(const Tensor& t, int64_t dim);
// Writes rows (with `dim` last, 1 wide when reduced) into out, where dim stands in its place.
void store_rows(const Tensor& out, const Tensor& rows, int64_t dim);
// The gradient of values picked from a tensor of `shape` at `at` along dim.
Tensor put_back(const Tensor& g, const Dims& shape, int64_t dim, const Tensor& at);
// The values in ascending order, as a vector without a history.
Tensor sorted_values(const Tensor& t);

} // namespace flambeau
