// Division of 32-bit indices by a number known at launch, as kernels do it: by a multiply and a
// shift.
#pragma once
#include <bit>
#include <cstdint>

namespace flambeau::cuda {

struct Divider { // as in kernels/divider.cuh
  uint32_t size, magic, shift;
  // Granlund and Montgomery (1994): n / size = (mulhi(n, magic) + n) >> shift.
  explicit Divider(int64_t n = 1)
      : size(uint32_t(n)), shift(size > 1 ? uint32_t(32 - std::countl_zero(size - 1)) : 0) {
    magic = uint32_t(((uint64_t(1) << 32) * ((uint64_t(1) << shift) - size)) / size + 1);
  }
};

} // namespace flambeau::cuda
