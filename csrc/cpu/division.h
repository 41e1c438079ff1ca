// What an integer division by zero does on the CPU: it raises.
#pragma once
#include "../core/error.h"

namespace flambeau::math {

template<class T>
[[noreturn, gnu::cold]] inline T division_by_zero() {
  fail(ErrorKind::Runtime, "ZeroDivisionError: integer division by zero");
}

} // namespace flambeau::math
