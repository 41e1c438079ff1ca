// Conversions between all pairs of element types, at any strides.
#include "../core/elementwise.h"
#include "convert.h"
#include "loops.h"
#include "move_tables.h"

namespace flambeau {

const MoveTables& move_tables() {
  static const MoveTables& t = cpu_has_avx512() ? move_avx512::tables
                               : cpu_has_avx2() ? move_avx2::tables
                                                : move_base::tables;
  return t;
}

namespace {

template<class From, class To>
[[gnu::no_sanitize("float-cast-overflow")]] void cast(const char* src, int64_t ss, char* dst,
                                                      int64_t ds, int64_t n) {
  if (ss == sizeof(From) && ds == sizeof(To))
    return move_tables().cast[int(dtype_of<From>)][int(dtype_of<To>)](src, dst, n);
  if constexpr (std::is_same_v<From, To>)
    if (ss == 2 * sizeof(From) && ds == sizeof(From))
      return move_tables().every_second[std::countr_zero(sizeof(From))](src, dst, n);
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
