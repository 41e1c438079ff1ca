// Switches that Python sets: backends.cuda.matmul.allow_tf32 and its kin.
#pragma once
#include <string_view>

namespace flambeau::cuda {

struct Settings {
  bool matmul_tf32 = false; // matrix products of float32 in TF32
  bool conv_tf32 = true;    // the same for convolutions
  bool own_matmul = false;  // our own kernel in place of cuBLAS, as a cross-check
  bool* find(std::string_view name) {
    return name == "matmul_tf32"  ? &matmul_tf32
           : name == "conv_tf32"  ? &conv_tf32
           : name == "own_matmul" ? &own_matmul
                                  : nullptr;
  }
};
inline Settings& settings() {
  static Settings s;
  return s;
}

} // namespace flambeau::cuda
