// Which of the device texts a formula needs.
#pragma once
#include <string_view>
#include <vector>

namespace flambeau::cuda {

inline std::vector<const char*> files_for(std::string_view, bool) {
  return {"types.cuh", "math.cuh", "walk.cuh"};
}

} // namespace flambeau::cuda
