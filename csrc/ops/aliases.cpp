// Second names of functions; each takes all forms of the first.
#include "../core/registry.h"

namespace flambeau {

namespace {
const char* const kAliases[][2] = {
    {"absolute", "abs"},
    {"negative", "neg"},
    {"arccos", "acos"},
    {"arcsin", "asin"},
    {"arctan", "atan"},
    {"arccosh", "acosh"},
    {"arcsinh", "asinh"},
    {"arctanh", "atanh"},
    {"arctan2", "atan2"},
    {"multiply", "mul"},
    {"greater", "gt"},
    {"greater_equal", "ge"},
    {"less", "lt"},
    {"less_equal", "le"},
    {"not_equal", "ne"},
    {"fix", "trunc"},
    {"special_i0", "i0"},
    {"special_sinc", "sinc"},
    {"special_xlogy", "xlogy"},
    {"special_gammainc", "igamma"},
    {"special_gammaincc", "igammac"},
};
} // namespace

void add_aliases() {
  auto& rows = function_rows();
  size_t n = rows.size();
  for (const auto& [name, of] : kAliases)
    for (size_t i = 0; i < n; ++i) {
      FunctionRow row = rows[i];
      size_t paren = row.schema.find('(');
      if (row.schema.substr(0, paren) != of) continue;
      row.schema = name + row.schema.substr(paren);
      rows.push_back(row);
    }
}

} // namespace flambeau
