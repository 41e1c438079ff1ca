// Conversions between all pairs of element types.
#include <cmath>

#include "loops.h"

namespace flambeau {
namespace {

template<class T>
constexpr bool kComplex = std::is_same_v<T, c64> || std::is_same_v<T, c128>;
template<class T>
constexpr bool kHalf = std::is_same_v<T, f16> || std::is_same_v<T, bf16>;

// Values outside the target's range convert as the processor does; no language rule applies.
template<class To, class From>
[[gnu::always_inline]] inline To convert(From v) {
  if constexpr (std::is_same_v<To, From>)
    return v;
  else if constexpr (kHalf<From>)
    return convert<To>(float(v));
  else if constexpr (kComplex<To> && kComplex<From>)
    return To(v);
  else if constexpr (kComplex<To>)
    return To(typename To::value_type(v), 0);
  else if constexpr (kComplex<From>) {
    if constexpr (std::is_same_v<To, bool>)
      return v.real() != 0 || v.imag() != 0;
    else
      return convert<To>(v.real());
  } else if constexpr (std::is_same_v<To, bool>)
    return v != From(0);
  else if constexpr (kHalf<To>)
    return To(float(v));
  else if constexpr (std::is_floating_point_v<From> && std::is_integral_v<To> && sizeof(To) < 4)
    return To(int32_t(v));
  else if constexpr (std::is_floating_point_v<From> && std::is_same_v<To, uint32_t>)
    return To(int64_t(v));
  else
    return static_cast<To>(v);
}

template<class From, class To>
[[gnu::no_sanitize("float-cast-overflow")]] void cast(const char* src, int64_t ss, char* dst,
                                                      int64_t ds, int64_t n) {
  if (ss == sizeof(From) && ds == sizeof(To)) {
    auto* s = reinterpret_cast<const From*>(src);
    auto* d = reinterpret_cast<To*>(dst);
    for (int64_t i = 0; i < n; ++i) d[i] = convert<To>(s[i]);
    return;
  }
  for (int64_t i = 0; i < n; ++i)
    *reinterpret_cast<To*>(dst + i * ds) =
        convert<To>(*reinterpret_cast<const From*>(src + i * ss));
}

template<class From>
CastKernel from(DType to) {
  return dispatch_all(
      to, [](auto tag) -> CastKernel { return cast<From, typename decltype(tag)::type>; });
}

struct Table {
  CastKernel k[kDTypes][kDTypes];
  Table() {
    for (int f = 0; f < kDTypes; ++f)
      for (int t = 0; t < kDTypes; ++t)
        k[f][t] = dispatch_all(
            DType(f), [&](auto tag) { return from<typename decltype(tag)::type>(DType(t)); });
  }
};

} // namespace

CastKernel cast_kernel(DType a, DType b) {
  static const Table table;
  return table.k[int(a)][int(b)];
}

} // namespace flambeau
