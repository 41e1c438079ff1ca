// The loops of the special functions: scalar code, one copy for every processor.
#include "../core/elementwise.h"
#include "../ops/special_rows.h"
#include "elementwise_tables.h"
#include "formulas.h"

namespace flambeau {
namespace elem_special {

template<class T>
T entropy(T x) {
  return x > T(0) ? T(-x * math::log(x)) : x == T(0) ? T(0) : x != x ? x : T(-INFINITY);
}
template<class T>
auto phase(T x) {
  if constexpr (math::is_cpx<T>)
    return std::arg(x);
  else if constexpr (math::is_flt<T>)
    return x != x ? x : x < T(0) ? T(M_PI) : T(0);
  else
    return x;
}
template<class T>
T log_odds(T x, T eps) {
  if (eps >= T(0)) x = math::clamp(x, eps, T(1) - eps);
  return math::log(x / (T(1) - x));
}
template<class T>
T finite_number(T x, T nan, T high, T low) {
  if constexpr (!math::is_flt<T>)
    return x;
  else
    return x != x ? nan : !math::isinf(x) ? x : x > T(0) ? high : low;
}

#include "elementwise_loops.inc"

FB_UNARY_SPECIAL(FB_FORMULA1)
FB_BINARY_SPECIAL(FB_FORMULA2)

#define FB_ROW(name, ...) FB_SET(name##_f, 1)
const KernelSet unary[] = {FB_UNARY_SPECIAL(FB_ROW)};
#undef FB_ROW
#define FB_ROW(name, ...) FB_SET(name##_f, 2)
const KernelSet binary[] = {FB_BINARY_SPECIAL(FB_ROW)};
#undef FB_ROW

} // namespace elem_special

const KernelSet* special_unary_kernels() { return elem_special::unary; }
const KernelSet* special_binary_kernels() { return elem_special::binary; }

} // namespace flambeau
