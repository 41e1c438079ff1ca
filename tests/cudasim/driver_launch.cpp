// Driver entry points: modules, functions and kernel launches.
#include <algorithm>

#include "context.h"

using namespace cudasim;

namespace {

Kernel& kernel_of(void* handle) {
  context();
  auto it = driver.kernels.find(static_cast<Kernel*>(handle));
  if (it == driver.kernels.end()) throw Fault(kInvalidHandle, "this is not a function of a module");
  return *static_cast<Kernel*>(handle);
}

void check_shape(const Kernel& k, Dim grid, Dim block, unsigned dynamic) {
  auto text = [](Dim d) {
    return "(" + std::to_string(d.x) + "," + std::to_string(d.y) + "," + std::to_string(d.z) + ")";
  };
  std::string at = "launch of `" + k.name + "`: ";
  if (!grid.count() || grid.x > 2147483647u || grid.y > 65535 || grid.z > 65535)
    throw Fault(kInvalidValue, at + "the grid " + text(grid) + " is not possible");
  if (!block.count() || block.count() > 1024 || block.x > 1024 || block.y > 1024 || block.z > 64)
    throw Fault(kInvalidValue, at + "a block of " + text(block) + " threads is not possible");
  if (block.count() > k.max_threads)
    throw Fault(kLaunchOutOfResources, at + "more threads than its launch bounds allow");
  if (dynamic > k.max_dynamic_shared || dynamic + k.shared_static > 232448)
    throw Fault(kInvalidValue, at + std::to_string(dynamic) + " bytes of dynamic shared memory, " +
                                   "cuFuncSetAttribute has allowed " +
                                   std::to_string(k.max_dynamic_shared));
  if (k.max_dynamic_shared == 48 * 1024 && dynamic + k.shared_static > 48 * 1024)
    throw Fault(kInvalidValue, at + "more than 48 KiB of shared memory");
}

std::vector<uint8_t> read_params(const Kernel& k, void** params, void** extra) {
  std::vector<uint8_t> bytes(k.param_bytes + 16);
  if (params) {
    for (size_t i = 0; i < k.params.size(); ++i) {
      if (!params[i]) throw Fault(kInvalidValue, "a kernel parameter is null");
      std::memcpy(bytes.data() + k.params[i].offset, params[i], k.params[i].size);
    }
  } else if (extra) {
    const void* from = nullptr;
    size_t size = 0;
    for (; *extra; extra += 2) {
      if (*extra == reinterpret_cast<void*>(1))
        from = extra[1];
      else if (*extra == reinterpret_cast<void*>(2))
        size = *static_cast<size_t*>(extra[1]);
      else
        throw Fault(kInvalidValue, "an unknown launch option");
    }
    if (!from || size < k.param_bytes)
      throw Fault(kInvalidValue, "the parameter buffer is smaller than the kernel's parameters");
    std::memcpy(bytes.data(), from, k.param_bytes);
  } else if (!k.params.empty())
    throw Fault(kInvalidValue, "the kernel takes parameters");
  return bytes;
}

} // namespace

CUDASIM_API int cuModuleLoadData(void** out, const void* image) {
  return guarded([&] {
    Context& c = context();
    std::string_view text(static_cast<const char*>(image));
    if (text.substr(0, 4) == "\x7f"
                             "ELF")
      throw Fault(209, "machine code cannot be simulated: ask NVRTC for PTX");
    std::shared_ptr<Module> m = load_module(text, c.device);
    for (auto& [name, k] : m->kernels) {
      k->module_device = c.device;
      if (k->shared_static > 48 * 1024)
        throw Fault(kInvalidPtx,
                    "kernel `" + name + "` uses more than 48 KiB of static shared memory");
      driver.kernels[k.get()] = m;
    }
    driver.modules[m.get()] = m;
    *out = m.get();
    return 0;
  });
}

CUDASIM_API int cuModuleUnload(void* handle) {
  return guarded([&] {
    Context& c = context();
    auto it = driver.modules.find(static_cast<Module*>(handle));
    if (it == driver.modules.end()) return int(kInvalidHandle);
    drain_all(c);
    for (auto& [name, k] : it->second->kernels) driver.kernels.erase(k.get());
    for (uint64_t a : it->second->allocations) device_free(a);
    driver.modules.erase(it);
    return c.sticky;
  });
}

CUDASIM_API int cuModuleGetFunction(void** out, void* handle, const char* name) {
  return guarded([&] {
    context();
    auto it = driver.modules.find(static_cast<Module*>(handle));
    if (it == driver.modules.end()) return int(kInvalidHandle);
    auto k = it->second->kernels.find(std::string_view(name));
    if (k == it->second->kernels.end())
      throw Fault(kNotFound, "the module has no kernel `" + std::string(name) + "`");
    *out = k->second.get();
    return 0;
  });
}

CUDASIM_API int cuModuleGetGlobal_v2(uint64_t* address, size_t* bytes, void* handle,
                                     const char* name) {
  return guarded([&] {
    context();
    auto it = driver.modules.find(static_cast<Module*>(handle));
    if (it == driver.modules.end()) return int(kInvalidHandle);
    auto v = it->second->variables.find(std::string_view(name));
    if (v == it->second->variables.end()) return int(kNotFound);
    if (address) *address = v->second.first;
    if (bytes) *bytes = v->second.second;
    return 0;
  });
}

CUDASIM_API int cuFuncSetAttribute(void* function, int attribute, int value) {
  return guarded([&] {
    Kernel& k = kernel_of(function);
    if (attribute == 9) return 0;
    if (attribute != 8 || value < 0 || uint32_t(value) + k.shared_static > 232448)
      throw Fault(kInvalidValue, "cuFuncSetAttribute: not possible");
    k.max_dynamic_shared = uint32_t(value);
    return 0;
  });
}

CUDASIM_API int cuFuncGetAttribute(int* value, int attribute, void* function) {
  return guarded([&] {
    Kernel& k = kernel_of(function);
    const int values[] = {int(k.max_threads),
                          int(k.shared_static),
                          0,
                          int(k.local_bytes),
                          int(k.registers),
                          90,
                          modes.capability,
                          0,
                          int(k.max_dynamic_shared),
                          -1};
    if (attribute < 0 || attribute > 9) return int(kInvalidValue);
    *value = values[attribute];
    return 0;
  });
}

CUDASIM_API int cuOccupancyMaxActiveBlocksPerMultiprocessor(int* blocks, void* function,
                                                            int threads, size_t dynamic) {
  return guarded([&] {
    Kernel& k = kernel_of(function);
    if (threads < 1) return int(kInvalidValue);
    size_t shared = k.shared_static + dynamic + 1024;
    *blocks = int(std::min<size_t>({size_t(2048 / threads), 32, 233472 / shared}));
    return 0;
  });
}

CUDASIM_API int cuLaunchKernel(void* function, unsigned gx, unsigned gy, unsigned gz, unsigned bx,
                               unsigned by, unsigned bz, unsigned dynamic, void* stream,
                               void** params, void** extra) {
  return guarded([&] {
    Kernel& k = kernel_of(function);
    Stream& s = stream_of(stream);
    Dim grid{gx, gy, gz}, block{bx, by, bz};
    check_shape(k, grid, block, dynamic);
    if (k.module_device != s.context->device)
      throw Fault(kInvalidHandle, "the function belongs to another device than the stream");
    ++driver.launches;
    if (modes.fail_launch && ++modes.seen_launches == modes.fail_launch) {
      fail_context(*s.context, kLaunchFailed, "launch of `" + k.name + "`: failed on demand");
      return int(kLaunchFailed);
    }
    auto bytes = std::make_shared<std::vector<uint8_t>>(read_params(k, params, extra));
    enqueue(s, [=, module = driver.kernels[&k], &k, device = s.context->device] {
      run_launch({&k, grid, block, dynamic, bytes->data(), device});
    });
    return 0;
  });
}
