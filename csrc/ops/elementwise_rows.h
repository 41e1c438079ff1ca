// What every file of elementwise rows needs: macros that turn rows into derivatives, table
// entries and functions, and their registration.
#pragma once
#include "../core/elementwise.h"
#include "../core/registry.h"

// In a derivative: the kept input(s) and output.
#define IN() s.input(0)
#define A() s.input(0)
#define B() s.input(1)
#define C() s.input(2)
#define Y() s.output(0)
#define FB_VJP(fn, expr)                                                       \
  Tensor fn([[maybe_unused]] const Saved& s, [[maybe_unused]] const Tensor& g, \
            [[maybe_unused]] const double* p) {                                \
    return expr;                                                               \
  }
#define FB_VJP1(name, args, rule, types, keep, formula, vjp, doc) FB_VJP(vjp_##name, vjp)
#define FB_VJP2(name, rule, types, keep, formula, va, vb, doc) \
  FB_VJP(vjp_a_##name, va) FB_VJP(vjp_b_##name, vb)

#define FB_ROW1(name, args, rule, types, keep, formula, vjp, doc) \
  {#name, args, 1, Rule::rule, Keep::keep, {vjp_##name}, doc, nullptr, #formula},
#define FB_ROW2(name, rule, types, keep, formula, va, vb, doc) \
  {#name, "", 2, Rule::rule, Keep::keep, {vjp_a_##name, vjp_b_##name}, doc, nullptr, #formula},

#define FB_UNARY_FUNCTION(name, rows)                             \
  Tensor name(const Tensor& x, double p0, double p1, double p2) { \
    double p[3] = {p0, p1, p2};                                   \
    return elementwise(rows[k_##name], &x, p, 3);                 \
  }
#define FB_BINARY_FUNCTION(name, rows)            \
  Tensor name(const Tensor& a, const Tensor& b) { \
    Tensor in[2] = {a, b};                        \
    return elementwise(rows[k_##name], in);       \
  }

namespace flambeau {

Value call_row(Args& a);                    // runs the row in args.context
const char* two_operands(const char* name); // which of two operands may be numbers

// Gives rows their kernels and Python all those that `internal` does not name.
template<size_t N>
void register_rows(ElemRow (&rows)[N], const KernelSet* kernels, const char* inputs,
                   bool (*internal)(const char*)) {
  for (size_t i = 0; i < N; ++i) {
    rows[i].kernels = &kernels[i];
    if (internal(rows[i].name)) continue;
    std::string args = rows[i].args;
    const char* operands = rows[i].arity == 2 ? two_operands(rows[i].name) : inputs;
    function_rows().push_back({std::string(rows[i].name) + "(" + operands +
                                   (args.empty() ? "" : ", " + args) + ") -> Tensor",
                               kFMIO | kNative, call_row, rows[i].doc, &rows[i]});
  }
}

} // namespace flambeau
