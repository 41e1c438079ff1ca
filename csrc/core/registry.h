// The list of functions that Python sees: a signature, a C++ function, a doc, and its forms.
#pragma once
#include <string>
#include <variant>
#include <vector>

#include "../ops/ops.h"
#include "tensor.h"

namespace flambeau {

// One parsed argument; which member counts is decided by the parameter's type.
struct Arg {
  bool given = false; // false: the default, or None
  bool flag = false;
  DType dtype = DType::F32;
  Device device;
  Borrowed tensor; // the caller's object keeps it alive
  Scalar scalar;
  int pool = -1;          // where its list lies in Args
  void* object = nullptr; // a Python object (borrowed), for type `object`
};

struct Args {
  SmallVec<Arg, 8> list;
  SmallVec<Dims, 2> dims_pool;
  std::vector<Tensors> tensors_pool;
  std::vector<std::string> text_pool;
  Tensors held; // operands made for this call (Python numbers as tensors)
  Tensor out;   // of the out= form, or the target of the in-place form
  Tensors outs; // out=(a, b)
  bool inplace = false;
  const void* context = nullptr;

  bool given(int i) const { return list[i].given; }
  const Tensor& tensor(int i) const { return list[i].tensor.get(); } // undefined when None
  const Scalar& scalar(int i) const { return list[i].scalar; }
  double real(int i) const { return list[i].scalar.f; }
  int64_t integer(int i) const { return list[i].scalar.i; }
  OptInt opt_int(int i) const { return given(i) ? OptInt(integer(i)) : OptInt(); }
  bool flag(int i) const { return list[i].flag; }
  const Dims& dims(int i) const {
    static const Dims none;
    return list[i].pool < 0 ? none : dims_pool[list[i].pool];
  }
  const Tensors& tensors(int i) const { return tensors_pool[size_t(list[i].pool)]; }
  const std::string& text(int i) const { return text_pool[size_t(list[i].pool)]; }
  OptDType dtype(int i) const { return given(i) ? OptDType(list[i].dtype) : OptDType(); }
  Device device(int i) const { return list[i].device; }
  void* object(int i) const { return list[i].object; }
};

// What a function gives back. Tensors becomes a tuple (a named one when the signature names
// its parts, a list when it ends in `-> Tensor[]`).
using Value = std::variant<std::monostate, Tensor, Tensors, Scalar, Dims, std::string, DType>;
using Function = Value (*)(Args&);

enum Forms : unsigned {
  kFunction = 1,
  kMethod = 2,
  kInplace = 4, // name_ as a method (and as a function)
  kOut = 8,
  kNative = 16, // the function itself writes to args.out
  kFM = kFunction | kMethod,
  kFMO = kFM | kOut,
  kFMIO = kFMO | kInplace,
  kFMI = kFM | kInplace,
  kFO = kFunction | kOut,
};

struct FunctionRow {
  // "name(Tensor self, int dim=-1, *, bool keepdim=False) -> Tensor"; rows of one name are
  // overloads, tried in order. Types: Tensor, Tensor? (or None), Operand (Tensor or number),
  // Scalar, int, float, bool, str, dtype, device, generator, object; X? allows None; int[] and
  // Tensor[] are lists, int[2] also one int for both, int[*] also as separate arguments.
  std::string schema;
  unsigned forms;
  Function fn;
  std::string doc;
  const void* context = nullptr;
};

std::vector<FunctionRow>& function_rows();
void add_aliases(); // second names, once all rows are there
// `static Register r({rows})` at the foot of an ops file adds its functions.
struct Register {
  Register(std::initializer_list<FunctionRow> rows);
};

} // namespace flambeau
