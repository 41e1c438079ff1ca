// Elementwise work on a GPU: a formula's text becomes a kernel for the operands' types and layout.
#pragma once
#include "../core/tensor.h"
#include "driver.h"

namespace flambeau::cuda {

struct Formula {
  const char* name;
  const char*
      text; // over x (one input), or a, b, c; T(...), P(i), p[i], and i, the element's index
};

// out[i] = formula(in...[i]), computed in `compute`, with inputs broadcast to out's shape. Inputs
// are on out's device, or 0-d tensors of the host. `result` is the formula's type.
void run_formula(const Formula& f, DType compute, DType result, const Tensor& out, const Tensor* in,
                 int n_in, const double* p = nullptr, int np = 0);

// Values between tensors of any two devices, at least one of them a GPU; casts and broadcasts.
void copy(const Tensor& dst, const Tensor& src, bool non_blocking = false);
// n bytes between a GPU and the host; the latter waits.
void copy_to_host(void* dst, int device, Pointer src, size_t n);
void copy_from_host(int device, Pointer dst, const void* src, size_t n);
// Sets every element to the one whose bytes are given (size: t's item size).
void fill(const Tensor& t, const void* element);

} // namespace flambeau::cuda
