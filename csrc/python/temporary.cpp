// Who calls an operator: only the interpreter gives its operands up, other C code may hold on to
// one without counting it (NumPy does for the elements of an array of objects).
#include "temporary.h"

#if defined(__linux__) && PY_VERSION_HEX < 0x030E0000
#include <cstring>
#include <dlfcn.h>
#include <unwind.h>
#endif

namespace flambeau::py {

#if PY_VERSION_HEX >= 0x030E0000

// A local variable, too, is on the stack without a count of its own: Python alone can tell.
bool is_temporary(PyObject* o) { return PyUnstable_Object_IsUniqueReferencedTemporary(o); }

#elif defined(__linux__)

namespace {

enum class Kind { Ours, Unnamed, Number, Interpreter, Other };

const void* module_of(const void* p) {
  Dl_info info;
  return dladdr(p, &info) ? info.dli_fbase : nullptr;
}

Kind find_kind(uintptr_t address) {
  static const void* const ours = module_of(reinterpret_cast<const void*>(&is_temporary));
  static const void* const python = module_of(reinterpret_cast<const void*>(&PyNumber_Add));
  Dl_info info;
  if (dladdr(reinterpret_cast<const void*>(address), &info) == 0) return Kind::Other;
  if (info.dli_fbase == ours) return Kind::Ours;
  if (info.dli_fbase != python) return Kind::Other;
  if (info.dli_sname == nullptr) return Kind::Unnamed;
  if (std::strcmp(info.dli_sname, "_PyEval_EvalFrameDefault") == 0) return Kind::Interpreter;
  return std::strncmp(info.dli_sname, "PyNumber_", 9) == 0 ? Kind::Number : Kind::Other;
}

// dladdr takes microseconds, and there are few places from which operators are called.
Kind kind_of(uintptr_t address) {
  constexpr int kKnown = 64;
  static struct {
    uintptr_t address;
    Kind kind;
  } known[kKnown];
  static int count = 0;
  for (int i = 0; i < count; ++i)
    if (known[i].address == address) return known[i].kind;
  const Kind kind = find_kind(address);
  if (count < kKnown) known[count++] = {address, kind};
  return kind;
}

// The interpreter calls PyNumber_Add or one of its kin, which calls the slot; a helper without a
// name may lie on either side of it.
struct Callers {
  bool number = false, interpreter = false;
  int unnamed = 0;

  bool goes_on(uintptr_t address) {
    switch (kind_of(address)) {
    case Kind::Ours: return !number && unnamed == 0;
    case Kind::Unnamed: return ++unnamed <= 2;
    case Kind::Number: return !std::exchange(number, true);
    case Kind::Interpreter: interpreter = number; return false;
    case Kind::Other: break;
    }
    return false;
  }
};

_Unwind_Reason_Code step(_Unwind_Context* context, void* callers) {
  const uintptr_t address = _Unwind_GetIP(context) - 1; // in the call, not after it
  return static_cast<Callers*>(callers)->goes_on(address) ? _URC_NO_REASON : _URC_END_OF_STACK;
}

} // namespace

bool is_temporary(PyObject* o) {
  if (Py_REFCNT(o) != 1) return false;
  Callers callers;
  _Unwind_Backtrace(step, &callers);
  return callers.interpreter;
}

#else

bool is_temporary(PyObject*) { return false; }

#endif

} // namespace flambeau::py
