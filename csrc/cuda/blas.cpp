// Calls of cuBLAS. It is column-major, where our row-major C = A B reads C' = B' A': the factors
// change places.
#include "blas.h"

#include <limits>
#include <map>
#include <memory>
#include <mutex>
#include <vector>

#include "../core/error.h"
#include "device.h"
#include "settings.h"

namespace flambeau::cuda {

namespace {

// Constants of cuBLAS's headers.
constexpr int kReal32 = 0, kReal64 = 1, kReal16 = 2, kComplex32 = 4, kComplex64 = 5, kBrain16 = 14;
constexpr int kCompute32 = 68, kCompute64 = 70, kComputeTf32 = 77;
constexpr int kAsStored = 0, kTransposed = 1, kDefaultAlgorithm = -1;

int data_type(DType t) { // -1: none
  switch (t) {
  case DType::F16: return kReal16;
  case DType::BF16: return kBrain16;
  case DType::F32: return kReal32;
  case DType::F64: return kReal64;
  case DType::C64: return kComplex32;
  case DType::C128: return kComplex64;
  default: return -1;
  }
}

void check_blas(int status, const char* call) {
  static const char* const names[] = {"success",
                                      "not initialised",
                                      "",
                                      "out of memory",
                                      "",
                                      "",
                                      "",
                                      "invalid value",
                                      "architecture mismatch",
                                      "",
                                      "",
                                      "mapping error",
                                      "",
                                      "execution failed",
                                      "internal error",
                                      "not supported"};
  if (status == 0) [[likely]]
    return;
  const char* name = status > 0 && status < 16 ? names[status] : "";
  fail(status == 3 ? ErrorKind::Memory : ErrorKind::Runtime, "cuBLAS error ", status, " (",
       *name ? name : "unknown", ") in ", call);
}

// A handle of one GPU with a workspace of our own for each of its streams: cuBLAS's own would be
// allocated at moments of its choice, which a graph's capture forbids.
struct Session {
  Handle handle = nullptr, stream = nullptr;
  std::map<Handle, Pointer> workspaces;
};

// Sessions outlive the threads that use them: the next thread takes one over.
std::mutex mutex;
std::map<int, std::vector<std::unique_ptr<Session>>> idle;

struct ThreadSessions {
  std::map<int, std::unique_ptr<Session>> own;
  ~ThreadSessions() {
    std::lock_guard lock(mutex);
    for (auto& [device, s] : own) idle[device].push_back(std::move(s));
  }
};
thread_local ThreadSessions sessions;

std::unique_ptr<Session> open_session(int device) {
  {
    std::lock_guard lock(mutex);
    auto& free = idle[device];
    if (!free.empty()) {
      std::unique_ptr<Session> s = std::move(free.back());
      free.pop_back();
      return s;
    }
  }
  FB_CHECK(!is_capturing(device),
           "the first matrix product on a GPU prepares cuBLAS, which a CUDA graph cannot contain: "
           "run the work once before the capture");
  auto s = std::make_unique<Session>();
  check_blas(cublas().Create(&s->handle), "cublasCreate");
  return s;
}

// The thread's handle, on the current stream.
Handle blas_handle(int device) {
  Gpu& g = gpu(device);
  auto& slot = sessions.own[device];
  if (!slot) slot = open_session(device);
  Session& s = *slot;
  Handle stream = current_stream(device);
  if (s.stream == stream) return s.handle;
  // As NVIDIA advises for the two generations; setting a stream resets the workspace.
  const size_t size = size_t(g.major >= 9 ? 32 : 4) << 20;
  Pointer& memory = s.workspaces[stream];
  if (!memory) {
    CaptureRelaxed relaxed; // it stays, so a graph may come to use it while it is recorded
    FB_CU(MemAlloc, &memory, size);
  }
  s.stream = nullptr;
  check_blas(cublas().SetStream(s.handle, stream), "cublasSetStream");
  check_blas(cublas().SetWorkspace(s.handle, reinterpret_cast<void*>(memory), size),
             "cublasSetWorkspace");
  s.stream = stream;
  return s.handle;
}

} // namespace

bool blas_takes(const Gemm& g) {
  constexpr int64_t kMost = std::numeric_limits<int>::max();
  for (int64_t v : {g.m, g.n, g.k, g.batch, g.a.ld, g.b.ld, g.ldc})
    if (v > kMost) return false;
  return data_type(g.in) >= 0 && have_cublas();
}

void blas_gemm(const Gemm& g) {
  const bool wide = real_of(g.in) == DType::F64;
  const int in = data_type(g.in), out = data_type(g.out);
  const int compute = wide ? kCompute64 : g.tf32 ? kComputeTf32 : kCompute32;
  // One and `add` as numbers of the compute type, complex ones with a zero after them.
  const double one64[2] = {1, 0}, add64[2] = {g.add ? 1. : 0., 0};
  const float one32[2] = {1, 0}, add32[2] = {g.add ? 1.f : 0.f, 0};
  const void* alpha = wide ? static_cast<const void*>(one64) : one32;
  const void* beta = wide ? static_cast<const void*>(add64) : add32;
  auto pointer = [](Pointer p) { return reinterpret_cast<void*>(p); };
  auto layout = [](const Factor& f) { return f.trans ? kTransposed : kAsStored; };
  check_blas(cublas().GemmStridedBatchedEx(
                 blas_handle(g.device), layout(g.b), layout(g.a), int(g.n), int(g.m), int(g.k),
                 alpha, pointer(g.b.data), in, int(g.b.ld), g.b.stride, pointer(g.a.data), in,
                 int(g.a.ld), g.a.stride, beta, pointer(g.c), out, int(g.ldc), g.stride_c,
                 int(g.batch), compute, kDefaultAlgorithm),
             "cublasGemmStridedBatchedEx");
}

} // namespace flambeau::cuda
