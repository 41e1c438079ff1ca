// Driver entry points: initialisation, devices, contexts, memory, and the hooks for tests.
#include <cstdio>
#include <cstdlib>

#include "context.h"

using namespace cudasim;

namespace {

// Attribute numbers are those of the driver's interface.
const std::map<int, int> device_attributes = {
    {1, 1024},     {2, 1024},     {3, 1024},  {4, 64},        {5, 2147483647},  {6, 65535},
    {7, 65535},    {8, 49152},    {9, 65536}, {10, 32},       {11, 2147483647}, {12, 65536},
    {13, 1980000}, {14, 512},     {15, 1},    {16, 132},      {17, 0},          {18, 0},
    {19, 1},       {20, 0},       {31, 1},    {32, 1},        {33, 1},          {34, 0},
    {35, 0},       {36, 2619000}, {37, 5120}, {38, 52428800}, {39, 2048},       {40, 3},
    {41, 1},       {50, 0},       {78, 1},    {81, 233472},   {82, 65536},      {83, 0},
    {84, 0},       {88, 0},       {89, 0},    {95, 0},        {97, 232448},     {115, 0}};

int check_device(int device) {
  if (!driver.ready) throw Fault(kNotInitialized, "cuInit has not been called");
  if (device < 0 || device >= modes.devices)
    throw Fault(kInvalidDevice, "there is no device " + std::to_string(device));
  return device;
}

Context& context_of_device(int device) {
  if (int(driver.contexts.size()) <= device) driver.contexts.resize(device + 1);
  auto& c = driver.contexts[device];
  if (!c) {
    c = std::make_unique<Context>();
    c->device = device;
    c->null_stream.context = c.get();
  }
  return *c;
}

const std::map<int, std::pair<const char*, const char*>> error_names = {
    {0, {"CUDA_SUCCESS", "no error"}},
    {1, {"CUDA_ERROR_INVALID_VALUE", "invalid argument"}},
    {2, {"CUDA_ERROR_OUT_OF_MEMORY", "out of memory"}},
    {3, {"CUDA_ERROR_NOT_INITIALIZED", "initialization error"}},
    {100, {"CUDA_ERROR_NO_DEVICE", "no CUDA-capable device is detected"}},
    {101, {"CUDA_ERROR_INVALID_DEVICE", "invalid device ordinal"}},
    {201, {"CUDA_ERROR_INVALID_CONTEXT", "invalid device context"}},
    {209, {"CUDA_ERROR_NO_BINARY_FOR_GPU", "no kernel image for this device"}},
    {218, {"CUDA_ERROR_INVALID_PTX", "a PTX compilation failed"}},
    {400, {"CUDA_ERROR_INVALID_HANDLE", "invalid resource handle"}},
    {500, {"CUDA_ERROR_NOT_FOUND", "named symbol not found"}},
    {600, {"CUDA_ERROR_NOT_READY", "device not ready"}},
    {700, {"CUDA_ERROR_ILLEGAL_ADDRESS", "an illegal memory access was encountered"}},
    {701, {"CUDA_ERROR_LAUNCH_OUT_OF_RESOURCES", "too many resources requested for launch"}},
    {710, {"CUDA_ERROR_ASSERT", "device-side assert triggered"}},
    {716, {"CUDA_ERROR_MISALIGNED_ADDRESS", "misaligned address"}},
    {719, {"CUDA_ERROR_LAUNCH_FAILED", "unspecified launch failure"}},
    {801, {"CUDA_ERROR_NOT_SUPPORTED", "operation not supported"}},
    {900, {"CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED", "not permitted when a stream is capturing"}},
    {901, {"CUDA_ERROR_STREAM_CAPTURE_INVALIDATED", "a capture failed earlier"}},
    {902, {"CUDA_ERROR_STREAM_CAPTURE_MERGE", "would merge two captures"}},
    {903, {"CUDA_ERROR_STREAM_CAPTURE_UNMATCHED", "the capture began in another stream"}},
    {904, {"CUDA_ERROR_STREAM_CAPTURE_UNJOINED", "a capture has unjoined work"}},
    {905, {"CUDA_ERROR_STREAM_CAPTURE_ISOLATION", "a dependency leads out of the capture"}},
    {907, {"CUDA_ERROR_CAPTURED_EVENT", "the event is being captured"}}};

uint8_t* host_pointer(uint64_t address, size_t bytes) {
  const Allocation* a = find_allocation(address);
  return a && a->device >= 0 ? view(address, bytes, "a copy") : reinterpret_cast<uint8_t*>(address);
}

bool pageable(uint64_t address) { return find_allocation(address) == nullptr; }

} // namespace

// ---- initialisation and devices ----------------------------------------------------------------

CUDASIM_API int cuInit(unsigned) {
  return guarded([] {
    if (driver.ready) return 0;
    read_environment();
    if (modes.init_error) return modes.init_error;
    if (modes.devices < 1) return int(kNoDevice);
    driver.ready = true;
    return 0;
  });
}

CUDASIM_API int cuDriverGetVersion(int* version) {
  return guarded([&] {
    if (!driver.ready) read_environment();
    *version = modes.driver;
    return 0;
  });
}

CUDASIM_API int cuDeviceGetCount(int* count) {
  return guarded([&] {
    if (!driver.ready) return int(kNotInitialized);
    *count = modes.devices;
    return 0;
  });
}

CUDASIM_API int cuDeviceGet(int* device, int ordinal) {
  return guarded([&] {
    *device = check_device(ordinal);
    return 0;
  });
}

CUDASIM_API int cuDeviceGetName(char* name, int length, int device) {
  return guarded([&] {
    check_device(device);
    std::snprintf(name, size_t(length), "cudasim %d.%d", modes.capability / 10,
                  modes.capability % 10);
    return 0;
  });
}

CUDASIM_API int cuDeviceGetUuid_v2(unsigned char* uuid, int device) {
  return guarded([&] {
    check_device(device);
    for (int i = 0; i < 16; ++i) uuid[i] = uint8_t(0xc0 + i + device);
    return 0;
  });
}

CUDASIM_API int cuDeviceGetAttribute(int* value, int attribute, int device) {
  return guarded([&] {
    check_device(device);
    if (attribute == 75)
      *value = modes.capability / 10;
    else if (attribute == 76)
      *value = modes.capability % 10;
    else if (attribute == 33)
      *value = 1 + device;
    else {
      auto it = device_attributes.find(attribute);
      if (it == device_attributes.end())
        throw Fault(kInvalidValue,
                    "device attribute " + std::to_string(attribute) + " is not simulated");
      *value = it->second;
    }
    return 0;
  });
}

CUDASIM_API int cuDeviceTotalMem_v2(size_t* bytes, int device) {
  return guarded([&] {
    check_device(device);
    *bytes = modes.memory;
    return 0;
  });
}

CUDASIM_API int cuDeviceCanAccessPeer(int* yes, int device, int peer) {
  return guarded([&] {
    check_device(device);
    check_device(peer);
    *yes = 0; // copies between devices work, direct access does not
    return 0;
  });
}

CUDASIM_API int cuCtxEnablePeerAccess(void*, unsigned) { return 217; }

// NVRTC asks a loaded driver for private tables and must find this entry point.
CUDASIM_API int cuGetExportTable(const void** table, const void*) {
  if (table) *table = nullptr;
  return kNotFound;
}

CUDASIM_API int cuGetErrorName(int code, const char** name) {
  auto it = error_names.find(code);
  *name = it == error_names.end() ? nullptr : it->second.first;
  return *name ? 0 : int(kInvalidValue);
}

CUDASIM_API int cuGetErrorString(int code, const char** text) {
  auto it = error_names.find(code);
  *text = it == error_names.end() ? nullptr : it->second.second;
  return *text ? 0 : int(kInvalidValue);
}

// ---- contexts ----------------------------------------------------------------------------------

CUDASIM_API int cuDevicePrimaryCtxRetain(void** out, int device) {
  return guarded([&] {
    check_device(device);
    Context& c = context_of_device(device);
    ++c.retained;
    *out = &c;
    return 0;
  });
}

CUDASIM_API int cuDevicePrimaryCtxRelease_v2(int device) {
  return guarded([&] {
    check_device(device);
    Context& c = context_of_device(device);
    if (c.retained < 1) return int(kInvalidContext);
    --c.retained;
    return 0;
  });
}

CUDASIM_API int cuCtxSetCurrent(void* handle) {
  return guarded([&] {
    if (!driver.ready) return int(kNotInitialized);
    current_context = static_cast<Context*>(handle);
    return 0;
  });
}

CUDASIM_API int cuCtxGetCurrent(void** out) {
  return guarded([&] {
    if (!driver.ready) return int(kNotInitialized);
    *out = current_context;
    return 0;
  });
}

CUDASIM_API int cuCtxSynchronize() {
  return guarded([] {
    Context& c = context();
    forbid_while_capturing("cuCtxSynchronize");
    drain_all(c);
    return c.sticky;
  });
}

// ---- memory ------------------------------------------------------------------------------------

CUDASIM_API int cuMemGetInfo_v2(size_t* free_bytes, size_t* total) {
  return guarded([&] {
    *free_bytes = modes.memory - live_bytes(context().device);
    *total = modes.memory;
    return 0;
  });
}

CUDASIM_API int cuMemAlloc_v2(uint64_t* out, size_t bytes) {
  return guarded([&] {
    Context& c = context();
    forbid_while_capturing("cuMemAlloc");
    if (!bytes) throw Fault(kInvalidValue, "cuMemAlloc of 0 bytes");
    ++driver.allocs;
    int64_t n = ++modes.seen_allocs;
    bool fails = modes.fail_alloc &&
                 (n == modes.fail_alloc || (modes.fail_alloc_on && n > modes.fail_alloc));
    uint64_t at = fails ? 0 : device_alloc(c.device, bytes);
    if (!at)
      throw Fault(kOutOfMemory, "cuMemAlloc: no room for " + std::to_string(bytes) + " bytes");
    *out = at;
    return 0;
  });
}

CUDASIM_API int cuMemFree_v2(uint64_t address) {
  return guarded([&] {
    Context& c = context();
    if (!address) return 0;
    forbid_while_capturing("cuMemFree");
    const Allocation* a = find_allocation(address);
    if (!a || a->base != address || a->device < 0 || a->variable)
      throw Fault(kInvalidValue, "cuMemFree of what cuMemAlloc did not give");
    drain_all(*driver.contexts[a->device]);
    device_free(address);
    return c.sticky;
  });
}

CUDASIM_API int cuMemHostAlloc(void** out, size_t bytes, unsigned) {
  return guarded([&] {
    context();
    void* p = nullptr;
    if (!bytes || posix_memalign(&p, 4096, bytes)) return int(kInvalidValue);
    std::memset(p, 0xff, bytes);
    host_register(p, bytes);
    driver.pinned.insert(p);
    *out = p;
    return 0;
  });
}

CUDASIM_API int cuMemFreeHost(void* p) {
  return guarded([&] {
    Context& c = context();
    if (!driver.pinned.erase(p)) throw Fault(kInvalidValue, "cuMemFreeHost of an unknown pointer");
    drain_all(c);
    host_unregister(p);
    std::free(p);
    return c.sticky;
  });
}

CUDASIM_API int cuMemHostRegister_v2(void* p, size_t bytes, unsigned) {
  return guarded([&] {
    context();
    if (!p || !bytes) return int(kInvalidValue);
    if (find_allocation(reinterpret_cast<uint64_t>(p))) return 712;
    host_register(p, bytes);
    return 0;
  });
}

CUDASIM_API int cuMemHostUnregister(void* p) {
  return guarded([&] {
    Context& c = context();
    drain_all(c);
    return driver.pinned.count(p) || !host_unregister(p) ? 713 : c.sticky;
  });
}

// A pageable source is read before the call returns, as the driver does; a pinned one later.
CUDASIM_API int cuMemcpyHtoDAsync_v2(uint64_t to, const void* from, size_t bytes, void* handle) {
  return guarded([&] {
    Stream& s = stream_of(handle);
    if (!bytes) return 0;
    view(to, bytes, "cuMemcpyHtoDAsync, the target");
    uint64_t source = reinterpret_cast<uint64_t>(from);
    if (pageable(source)) {
      if (s.capture) forbid_on_captured(s, "a copy from pageable memory");
      auto bytes_now = std::make_shared<std::vector<uint8_t>>(
          static_cast<const uint8_t*>(from), static_cast<const uint8_t*>(from) + bytes);
      enqueue(s, [=] { std::memcpy(view(to, bytes, "a copy"), bytes_now->data(), bytes); });
      return 0;
    }
    view(source, bytes, "cuMemcpyHtoDAsync, the source");
    enqueue(s, [=] { std::memcpy(view(to, bytes, "a copy"), host_pointer(source, bytes), bytes); });
    return 0;
  });
}

CUDASIM_API int cuMemcpyDtoHAsync_v2(void* to, uint64_t from, size_t bytes, void* handle) {
  return guarded([&] {
    Stream& s = stream_of(handle);
    if (!bytes) return 0;
    view(from, bytes, "cuMemcpyDtoHAsync, the source");
    uint64_t target = reinterpret_cast<uint64_t>(to);
    bool waits = pageable(target);
    if (waits && s.capture) forbid_on_captured(s, "a copy to pageable memory");
    if (!waits) view(target, bytes, "cuMemcpyDtoHAsync, the target");
    enqueue(s,
            [=] { std::memcpy(host_pointer(target, bytes), view(from, bytes, "a copy"), bytes); });
    if (waits) drain(s);
    return waits ? s.context->sticky : 0;
  });
}

namespace {
int copy_on_device(uint64_t to, uint64_t from, size_t bytes, void* handle) {
  return guarded([&] {
    Stream& s = stream_of(handle);
    if (!bytes) return 0;
    view(to, bytes, "a copy on the device, the target");
    view(from, bytes, "a copy on the device, the source");
    enqueue(s,
            [=] { std::memmove(view(to, bytes, "a copy"), view(from, bytes, "a copy"), bytes); });
    return 0;
  });
}
} // namespace

CUDASIM_API int cuMemcpyDtoDAsync_v2(uint64_t to, uint64_t from, size_t bytes, void* handle) {
  return copy_on_device(to, from, bytes, handle);
}

CUDASIM_API int cuMemcpyPeerAsync(uint64_t to, void*, uint64_t from, void*, size_t bytes,
                                  void* handle) {
  return copy_on_device(to, from, bytes, handle);
}

CUDASIM_API int cuMemsetD8Async(uint64_t to, unsigned char value, size_t count, void* handle) {
  return guarded([&] {
    Stream& s = stream_of(handle);
    if (!count) return 0;
    view(to, count, "cuMemsetD8Async");
    enqueue(s, [=] { std::memset(view(to, count, "a memset"), value, count); });
    return 0;
  });
}

CUDASIM_API int cuMemsetD32Async(uint64_t to, unsigned value, size_t count, void* handle) {
  return guarded([&] {
    Stream& s = stream_of(handle);
    if (!count) return 0;
    if (to & 3) throw Fault(kInvalidValue, "cuMemsetD32Async: the address is misaligned");
    view(to, 4 * count, "cuMemsetD32Async");
    enqueue(s, [=] {
      uint8_t* p = view(to, 4 * count, "a memset");
      for (size_t i = 0; i < count; ++i) std::memcpy(p + 4 * i, &value, 4);
    });
    return 0;
  });
}

CUDASIM_API int cuPointerGetAttribute(void* out, int attribute, uint64_t address) {
  return guarded([&] {
    context();
    const Allocation* a = find_allocation(address);
    if (!a) throw Fault(kInvalidValue, "cuPointerGetAttribute of an unknown pointer");
    auto put = [&](auto v) { std::memcpy(out, &v, sizeof v); };
    switch (attribute) {
    case 1: put(a->device < 0 ? current_context : driver.contexts[a->device].get()); break;
    case 2: put(uint32_t(a->device < 0 ? 1 : 2)); break;
    case 3: put(address); break;
    case 4: put(a->device < 0 ? address : uint64_t(0)); break;
    case 8: put(uint32_t(0)); break;
    case 9: put(a->device < 0 ? current_context->device : a->device); break;
    case 11: put(a->base); break;
    case 12: put(a->size); break;
    case 13: put(uint32_t(1)); break;
    default: throw Fault(kInvalidValue, "this pointer attribute is not simulated");
    }
    return 0;
  });
}

// ---- hooks for tests and for the cuBLAS stand-in -----------------------------------------------

CUDASIM_API int cudasim_set(const char* name, const char* value) {
  return guarded([&] { return set_mode(name, value) ? 0 : int(kInvalidValue); });
}
CUDASIM_API int64_t cudasim_launches() { return driver.launches; }
CUDASIM_API int64_t cudasim_allocs() { return driver.allocs; }
CUDASIM_API int64_t cudasim_live_bytes() {
  std::lock_guard<std::recursive_mutex> hold(driver.lock);
  int64_t sum = 0;
  for (int d = 0; d < modes.devices; ++d) sum += int64_t(live_bytes(d));
  return sum;
}
CUDASIM_API const char* cudasim_last_error() { return driver.error.c_str(); }
CUDASIM_API void cudasim_reset_error() {
  std::lock_guard<std::recursive_mutex> hold(driver.lock);
  driver.error.clear();
  for (auto& c : driver.contexts)
    if (c) {
      c->sticky = 0;
      c->null_stream.queue.clear();
      for (Stream* s : c->streams) s->queue.clear();
    }
}
// Queues a host function that touches device memory through cudasim_view.
CUDASIM_API int cudasim_enqueue(void* stream, void (*run)(void*), void* arg) {
  return guarded([&] {
    enqueue(stream_of(stream), [=] { run(arg); });
    return 0;
  });
}
// The same for an argument that the queue owns: `destroy` ends it once no run is left.
CUDASIM_API int cudasim_enqueue_owned(void* stream, void (*run)(void*), void* arg,
                                      void (*destroy)(void*)) {
  std::shared_ptr<void> owned(arg, destroy);
  return guarded([&] {
    enqueue(stream_of(stream), [=] { run(owned.get()); });
    return 0;
  });
}
// Raised while queued work runs: the context fails with this code.
CUDASIM_API void cudasim_raise(int code, const char* text) { throw Fault(code, text); }
// The address behind a device address, or null when the range is not wholly allocated.
CUDASIM_API void* cudasim_view(uint64_t address, size_t bytes) {
  void* p = nullptr;
  guarded([&] {
    p = view(address, bytes, "a library call");
    return 0;
  });
  return p;
}
