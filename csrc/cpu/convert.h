// One element from any type to any other.
#pragma once
#include <type_traits>

#include "../core/dtype.h"

namespace flambeau {

template<class T>
constexpr bool is_complex_type = std::is_same_v<T, c64> || std::is_same_v<T, c128>;
template<class T>
constexpr bool is_half_type = std::is_same_v<T, f16> || std::is_same_v<T, bf16>;

// Values outside the target's range convert as the processor does; no language rule applies.
template<class To, class From>
[[gnu::always_inline]] inline To convert(From v) {
  if constexpr (std::is_same_v<To, From>)
    return v;
  else if constexpr (is_half_type<From>)
    return convert<To>(float(v));
  else if constexpr (is_complex_type<To> && is_complex_type<From>)
    return To(v);
  else if constexpr (is_complex_type<To>)
    return To(typename To::value_type(v), 0);
  else if constexpr (is_complex_type<From>) {
    if constexpr (std::is_same_v<To, bool>)
      return v.real() != 0 || v.imag() != 0;
    else
      return convert<To>(v.real());
  } else if constexpr (std::is_same_v<To, bool>)
    return v != From(0);
  else if constexpr (is_half_type<To>)
    return To(float(v));
  else if constexpr (std::is_floating_point_v<From> && std::is_integral_v<To> && sizeof(To) < 4)
    return To(int32_t(v));
  else if constexpr (std::is_floating_point_v<From> && std::is_same_v<To, uint32_t>)
    return To(int64_t(v));
  else
    return static_cast<To>(v);
}

} // namespace flambeau
