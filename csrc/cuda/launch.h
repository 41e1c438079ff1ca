// Kernels: found by name and definitions, compiled once, and launched on the current stream.
#pragma once
#include <initializer_list>
#include <string>
#include <string_view>

#include "../core/tensor.h"
#include "device.h"

namespace flambeau::cuda {

struct Kernel {
  Handle function = nullptr;
  std::string name;
};

// The function `entry` of the text `file` (csrc/cuda/kernels/<file>.cuh), compiled for `device`
// with `definitions` ("#define T float\n...") in front and the texts that the file's first lines
// ask for ("//! needs: types math") before it.
Kernel& kernel(int device, const char* file, const char* entry, const std::string& definitions);
// The same with definitions that use names from the files `needs`, which come before them.
Kernel& kernel_of_text(int device, const std::string& label, const char* entry,
                       const std::string& definitions, const std::vector<const char*>& needs,
                       const char* file);

struct Grid {
  int64_t x = 1, y = 1, z = 1;
};
void launch_raw(Kernel& k, int device, Grid grid, Grid block, size_t shared, void** arguments);
// launch(k, device, grid, block, shared bytes, arguments...): arguments are passed by value and
// must have exactly the types of the kernel's parameters.
template<class... A>
void launch(Kernel& k, int device, Grid grid, Grid block, size_t shared, A... arguments) {
  void* list[] = {&arguments..., nullptr};
  launch_raw(k, device, grid, block, shared, list);
}

// Blocks of `threads` for n items, as many as fill the GPU a few times over at most.
Grid blocks_for(int device, int64_t n, int threads = 256);
constexpr int64_t ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }

const char* type_name(DType t); // of the device texts: "float", "f16", "int64_t", "c64"
inline std::string define(const char* name, std::string_view value) {
  return std::string("#define ") + name + " " + std::string(value) + "\n";
}
inline std::string define_type(const char* name, DType t) { return define(name, type_name(t)); }
inline std::string define(const char* name, int64_t value) {
  return define(name, std::string_view(std::to_string(value)));
}

// The address of a tensor's first element on its GPU.
inline Pointer address(const Tensor& t) {
  return Pointer(t.storage().data) + Pointer(t.offset() * t.itemsize());
}

std::string last_kernels(); // names, newest first
int64_t launched();         // kernels so far

// For tests and tools: the source text of every kernel compiled so far, and how to compile one
// without a GPU.
struct Compiled {
  std::string label, entry, source;
};
std::vector<Compiled> compiled_kernels();
const char* text_of(std::string_view file); // null when there is no such text

} // namespace flambeau::cuda
