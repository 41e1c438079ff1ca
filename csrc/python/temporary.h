// Values that only the expression being computed holds: their memory may serve for the next result.
#pragma once
#include "py.h"

namespace flambeau::py {

// Whether `o`, an operand of the operator that is running, is on the interpreter's stack and
// nowhere else. False where that cannot be told.
bool is_temporary(PyObject* o);

} // namespace flambeau::py
