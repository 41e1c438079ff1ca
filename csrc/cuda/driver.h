// NVIDIA's libraries as tables of functions, loaded when first used; no CUDA header is needed.
#pragma once
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace flambeau::cuda {

using Pointer = unsigned long long; // CUdeviceptr
using Handle = void*;               // contexts, streams, events, modules, functions, graphs

// X(name without prefix, symbol, parameter types)
// clang-format off
#define FB_DRIVER_TABLE(X)                                                                        \
  X(Init, cuInit, unsigned)                                                                       \
  X(DriverGetVersion, cuDriverGetVersion, int*)                                                   \
  X(GetErrorName, cuGetErrorName, int, const char**)                                              \
  X(GetErrorString, cuGetErrorString, int, const char**)                                          \
  X(DeviceGetCount, cuDeviceGetCount, int*)                                                       \
  X(DeviceGet, cuDeviceGet, int*, int)                                                            \
  X(DeviceGetName, cuDeviceGetName, char*, int, int)                                              \
  X(DeviceGetUuid, cuDeviceGetUuid_v2, void*, int)                                                \
  X(DeviceGetAttribute, cuDeviceGetAttribute, int*, int, int)                                     \
  X(DeviceTotalMem, cuDeviceTotalMem_v2, size_t*, int)                                            \
  X(DevicePrimaryCtxRetain, cuDevicePrimaryCtxRetain, Handle*, int)                               \
  X(CtxSetCurrent, cuCtxSetCurrent, Handle)                                                       \
  X(CtxSynchronize, cuCtxSynchronize)                                                             \
  X(DeviceCanAccessPeer, cuDeviceCanAccessPeer, int*, int, int)                                   \
  X(MemGetInfo, cuMemGetInfo_v2, size_t*, size_t*)                                                \
  X(MemAlloc, cuMemAlloc_v2, Pointer*, size_t)                                                    \
  X(MemFree, cuMemFree_v2, Pointer)                                                               \
  X(MemHostAlloc, cuMemHostAlloc, void**, size_t, unsigned)                                       \
  X(MemcpyHtoDAsync, cuMemcpyHtoDAsync_v2, Pointer, const void*, size_t, Handle)                  \
  X(MemcpyDtoHAsync, cuMemcpyDtoHAsync_v2, void*, Pointer, size_t, Handle)                        \
  X(MemcpyDtoDAsync, cuMemcpyDtoDAsync_v2, Pointer, Pointer, size_t, Handle)                      \
  X(MemcpyPeerAsync, cuMemcpyPeerAsync, Pointer, Handle, Pointer, Handle, size_t, Handle)         \
  X(MemsetD8Async, cuMemsetD8Async, Pointer, unsigned char, size_t, Handle)                       \
  X(PointerGetAttribute, cuPointerGetAttribute, void*, int, Pointer)                              \
  X(StreamCreateWithPriority, cuStreamCreateWithPriority, Handle*, unsigned, int)                 \
  X(StreamSynchronize, cuStreamSynchronize, Handle)                                               \
  X(StreamQuery, cuStreamQuery, Handle)                                                           \
  X(StreamWaitEvent, cuStreamWaitEvent, Handle, Handle, unsigned)                                 \
  X(EventCreate, cuEventCreate, Handle*, unsigned)                                                \
  X(EventDestroy, cuEventDestroy_v2, Handle)                                                      \
  X(EventRecord, cuEventRecord, Handle, Handle)                                                   \
  X(EventQuery, cuEventQuery, Handle)                                                             \
  X(EventSynchronize, cuEventSynchronize, Handle)                                                 \
  X(EventElapsedTime, cuEventElapsedTime, float*, Handle, Handle)                                 \
  X(ModuleLoadData, cuModuleLoadData, Handle*, const void*)                                       \
  X(ModuleGetFunction, cuModuleGetFunction, Handle*, Handle, const char*)                         \
  X(LaunchKernel, cuLaunchKernel, Handle, unsigned, unsigned, unsigned, unsigned, unsigned,       \
    unsigned, unsigned, Handle, void**, void**)                                                   \
  X(StreamBeginCapture, cuStreamBeginCapture_v2, Handle, int)                                     \
  X(StreamEndCapture, cuStreamEndCapture, Handle, Handle*)                                        \
  X(StreamIsCapturing, cuStreamIsCapturing, Handle, int*)                                         \
  X(ThreadExchangeStreamCaptureMode, cuThreadExchangeStreamCaptureMode, int*)                     \
  X(GraphInstantiateWithFlags, cuGraphInstantiateWithFlags, Handle*, Handle, unsigned long long)  \
  X(GraphLaunch, cuGraphLaunch, Handle, Handle)                                                   \
  X(GraphExecDestroy, cuGraphExecDestroy, Handle)                                                 \
  X(GraphDestroy, cuGraphDestroy, Handle)

#define FB_NVRTC_TABLE(X)                                                                         \
  X(Version, nvrtcVersion, int*, int*)                                                            \
  X(GetNumSupportedArchs, nvrtcGetNumSupportedArchs, int*)                                        \
  X(GetSupportedArchs, nvrtcGetSupportedArchs, int*)                                              \
  X(CreateProgram, nvrtcCreateProgram, Handle*, const char*, const char*, int,                    \
    const char* const*, const char* const*)                                                       \
  X(CompileProgram, nvrtcCompileProgram, Handle, int, const char* const*)                         \
  X(GetProgramLogSize, nvrtcGetProgramLogSize, Handle, size_t*)                                   \
  X(GetProgramLog, nvrtcGetProgramLog, Handle, char*)                                             \
  X(GetCUBINSize, nvrtcGetCUBINSize, Handle, size_t*)                                             \
  X(GetCUBIN, nvrtcGetCUBIN, Handle, char*)                                                       \
  X(GetPTXSize, nvrtcGetPTXSize, Handle, size_t*)                                                 \
  X(GetPTX, nvrtcGetPTX, Handle, char*)                                                           \
  X(DestroyProgram, nvrtcDestroyProgram, Handle*)

#define FB_CUBLAS_TABLE(X)                                                                        \
  X(Create, cublasCreate_v2, Handle*)                                                             \
  X(SetStream, cublasSetStream_v2, Handle, Handle)                                                \
  X(SetWorkspace, cublasSetWorkspace_v2, Handle, void*, size_t)                                   \
  X(GemmStridedBatchedEx, cublasGemmStridedBatchedEx, Handle, int, int, int, int, int,            \
    const void*, const void*, int, int, long long, const void*, int, int, long long, const void*, \
    void*, int, int, long long, int, int, int)
// clang-format on

#define FB_FIELD(name, symbol, ...) int (*name)(__VA_ARGS__) = nullptr;
struct Driver {
  FB_DRIVER_TABLE(FB_FIELD)
  std::string path;
};
struct Nvrtc {
  FB_NVRTC_TABLE(FB_FIELD)
  std::string path;
};
struct Cublas {
  FB_CUBLAS_TABLE(FB_FIELD)
  std::string path;
};
#undef FB_FIELD

// Each loads its library on first use and raises, with what was tried and the cure, when it
// cannot. driver() also calls cuInit.
const Driver& driver();
const Nvrtc& nvrtc();
const Cublas& cublas();
bool have_cublas(); // never raises

// Why there is no usable driver; empty when there is one. Never raises.
const std::string& driver_problem();

// Directories in which NVIDIA's wheels keep their libraries; set by the Python package.
extern std::vector<std::string> (*wheel_directories)();

enum Result { kSuccess = 0, kOutOfMemory = 2, kNoDevice = 100, kNotReady = 600 };
enum Attribute {
  kMaxThreadsPerMultiprocessor = 39,
  kMultiprocessors = 16,
  kL2CacheBytes = 38,
  kIntegrated = 18,
  kMajor = 75,
  kMinor = 76,
  kSharedOptIn = 97,
  kSharedPerMultiprocessor = 81,
  kRegistersPerMultiprocessor = 82
};

[[noreturn]] void fail_call(int code, const char* call);
inline void check(int code, const char* call) {
  if (code != kSuccess) [[unlikely]]
    fail_call(code, call);
}
// FB_CU(StreamSynchronize, stream): the call, with its error as an exception.
#define FB_CU(name, ...) \
  ::flambeau::cuda::check(::flambeau::cuda::driver().name(__VA_ARGS__), "cu" #name)

} // namespace flambeau::cuda
