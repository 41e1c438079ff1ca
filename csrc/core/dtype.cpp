// Promotion of element types: the one table, and text helpers used in messages.
#include "dtype.h"

#include <atomic>
#include <cstdio>

#include "small_vec.h"

namespace flambeau {

namespace {
using enum DType;
constexpr DType Bad = Bool;
// promote(a, b) for a, b in the order of the enum; U16..U64 only mix with
// themselves, bool and floats, as in PyTorch (the pairs marked Bad raise).
constexpr DType kPromote[kDTypes][kDTypes] = {
    // Bool U8  I8   I16  I32  I64  U16  U32  U64  F16  BF16  F32  F64  C64  C128
    {Bool, U8, I8, I16, I32, I64, U16, U32, U64, F16, BF16, F32, F64, C64, C128},
    {U8, U8, I16, I16, I32, I64, Bad, Bad, Bad, F16, BF16, F32, F64, C64, C128},
    {I8, I16, I8, I16, I32, I64, Bad, Bad, Bad, F16, BF16, F32, F64, C64, C128},
    {I16, I16, I16, I16, I32, I64, Bad, Bad, Bad, F16, BF16, F32, F64, C64, C128},
    {I32, I32, I32, I32, I32, I64, Bad, Bad, Bad, F16, BF16, F32, F64, C64, C128},
    {I64, I64, I64, I64, I64, I64, Bad, Bad, Bad, F16, BF16, F32, F64, C64, C128},
    {U16, Bad, Bad, Bad, Bad, Bad, U16, Bad, Bad, F16, BF16, F32, F64, C64, C128},
    {U32, Bad, Bad, Bad, Bad, Bad, Bad, U32, Bad, F16, BF16, F32, F64, C64, C128},
    {U64, Bad, Bad, Bad, Bad, Bad, Bad, Bad, U64, F16, BF16, F32, F64, C64, C128},
    {F16, F16, F16, F16, F16, F16, F16, F16, F16, F16, F32, F32, F64, C64, C128},
    {BF16, BF16, BF16, BF16, BF16, BF16, BF16, BF16, BF16, F32, BF16, F32, F64, C64, C128},
    {F32, F32, F32, F32, F32, F32, F32, F32, F32, F32, F32, F32, F64, C64, C128},
    {F64, F64, F64, F64, F64, F64, F64, F64, F64, F64, F64, F64, F64, C128, C128},
    {C64, C64, C64, C64, C64, C64, C64, C64, C64, C64, C64, C64, C128, C64, C128},
    {C128, C128, C128, C128, C128, C128, C128, C128, C128, C128, C128, C128, C128, C128, C128},
};
std::atomic<DType> g_default{DType::F32};
} // namespace

DType promote(DType a, DType b) {
  if (a == b) return a;
  DType r = kPromote[int(a)][int(b)];
  FB_CHECK(r != Bool,
           "Promotion for uint16, uint32, uint64 types is not supported, attempted to "
           "promote ",
           a, " and ", b, "; cast one of them first, e.g. x.to(flambeau.int64)");
  return r;
}

bool can_cast(DType from, DType to) {
  if (is_complex(from) && !is_complex(to)) return false;
  if (is_float(from) && is_integral(to)) return false;
  if (from != Bool && to == Bool) return false;
  return true;
}

DType default_dtype() { return g_default; }
void set_default_dtype(DType t) { g_default = t; }

std::string to_str(double v) {
  char b[40];
  std::snprintf(b, sizeof b, "%g", v);
  return b;
}
std::string to_str(int64_t v) { return std::to_string(v); }

std::string to_str(const Dims& d) {
  std::string s = "[";
  for (int i = 0; i < d.size(); ++i) s += (i ? ", " : "") + std::to_string(d[i]);
  return s + "]";
}

} // namespace flambeau
