// The list of registered functions.
#include "registry.h"

namespace flambeau {

std::vector<FunctionRow>& function_rows() {
  static auto* rows = new std::vector<FunctionRow>;
  return *rows;
}

Register::Register(std::initializer_list<FunctionRow> rows) {
  auto& all = function_rows();
  all.insert(all.end(), rows.begin(), rows.end());
}

std::string to_str(const Scalar& s) {
  switch (s.kind) {
  case Scalar::Bool: return s.i ? "True" : "False";
  case Scalar::Int: return to_str(s.i);
  case Scalar::Float: return to_str(s.f);
  default: return "(" + to_str(s.f) + "+" + to_str(s.im) + "j)";
  }
}

} // namespace flambeau
