// The loops of the special functions: scalar code, one copy for every processor.
#include "../core/elementwise.h"
#include "../ops/special_rows.h"
#include "elementwise_tables.h"
#include "formulas.h"

namespace flambeau {
namespace elem_special {

#include "elementwise_loops.inc"

FB_UNARY_SPECIAL(FB_FORMULA1)
FB_BINARY_SPECIAL(FB_FORMULA2)

#define FB_ROW(name, ...) FB_SET(name##_f, 1)
const KernelSet unary[] = {FB_UNARY_SPECIAL(FB_ROW)};
#undef FB_ROW
#define FB_ROW(name, ...) FB_SET(name##_f, 2)
const KernelSet binary[] = {FB_BINARY_SPECIAL(FB_ROW)};
#undef FB_ROW

} // namespace elem_special

const KernelSet* special_unary_kernels() { return elem_special::unary; }
const KernelSet* special_binary_kernels() { return elem_special::binary; }

} // namespace flambeau
