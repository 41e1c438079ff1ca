// Matrix instructions of a warp and asynchronous copies.
#include "ops.h"

namespace cudasim {

void register_matrix(std::map<std::string_view, Selector>&) {}

} // namespace cudasim
