// Shared by the loss files: reductions by name.
#pragma once
#include <string>

#include "reduce_ops.h"

namespace flambeau {

enum class Reduction : uint8_t { None, Mean, Sum };
Reduction reduction_named(const std::string& name); // ValueError for other names
Tensor reduced(const Tensor& loss, Reduction r);

} // namespace flambeau
