// Elementwise ops: a row each (formula, type rule, derivative, doc); one driver runs them all.
#pragma once
#include "../cpu/loops.h"
#include "op.h"

namespace flambeau {

// Type rules: what comes out for inputs whose promoted type is t.
enum class Rule : uint8_t {
  Same,      // t
  Float,     // t, integers become the default float
  Bool,      // bool
  Real,      // the real type of a complex t
  RealFloat, // the same, integers become the default float
};

// Which compute types a row has kernels for.
constexpr unsigned kInt = 1, kBool = 2, kFlt = 4, kCpx = 8;
constexpr unsigned kIntBool = kInt | kBool, kNum = kInt | kFlt | kCpx, kReal = kInt | kFlt,
                   kAll = kNum | kBool, kRealBool = kReal | kBool, kFltCpx = kFlt | kCpx;
template<class T>
constexpr unsigned kind_of() {
  if constexpr (std::is_same_v<T, bool>)
    return kBool;
  else if constexpr (std::is_integral_v<T>)
    return kInt;
  else if constexpr (std::is_floating_point_v<T>)
    return kFlt;
  else
    return kCpx;
}

// What is kept for the derivative.
enum class Keep : uint8_t { None, In, Out, Cross, Both }; // Cross: each for the other's gradient

using KernelSet = ElemKernel[kDTypes];
struct ElemRow;
using ElemVjp = Tensor (*)(const Saved& s, const Tensor& g, const double* p);

struct ElemRow {
  const char* name;
  const char* args; // of the Python signature, after the inputs; "" when none
  int arity;
  Rule rule;
  Keep keep;
  ElemVjp vjp[3]; // null: no gradient flows
  const char* doc;
  const KernelSet* kernels;
  const char* formula; // its text, for the GPU's compiler
};

Tensor elementwise(const ElemRow& row, const Tensor* in, const double* p = nullptr, int np = 0);
// The same into `out`; in-place when out is in[0].
Tensor elementwise_into(const ElemRow& row, const Tensor* in, const double* p, int np,
                        const Tensor& out, bool inplace);

// Strides for a result of `shape`: dense, in the order of the inputs' strides.
Dims result_strides(const Dims& shape, const Tensor* in, int n);
// Whether a number of dtype `number` leaves a tensor of dtype `t` as it is.
bool category_keeps(DType t, DType number);
void resize_out(const Tensor& out, const Dims& shape, const char* op);
bool cpu_has_avx2();
bool cpu_has_avx512();

} // namespace flambeau
