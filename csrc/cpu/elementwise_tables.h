// The kernel tables of the elementwise families, one copy for each instruction set.
#pragma once
#include "../core/elementwise.h"

namespace flambeau {

struct ElemTables {
  const KernelSet *unary_math, *unary_activation, *binary, *ternary;
};
namespace elem_base {
extern const ElemTables tables;
}
namespace elem_avx2 {
extern const ElemTables tables;
}
namespace elem_avx512 {
extern const ElemTables tables;
}
const KernelSet* special_unary_kernels();
const KernelSet* special_binary_kernels();
const ElemTables& elem_tables(); // those of this processor

} // namespace flambeau
