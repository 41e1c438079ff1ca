// Contexts are made on first use, one primary context and one default stream for each GPU.
#include "device.h"

#include <array>
#include <cstdlib>
#include <memory>
#include <mutex>

#include "../core/error.h"
#include "../cpu/parallel.h"
#include "fault.h"

namespace flambeau::cuda {

namespace {

constexpr int kMaxDevices = 64;
std::mutex mutex;
auto& gpus = *new std::array<std::unique_ptr<Gpu>, kMaxDevices>; // never destroyed
thread_local int current = 0;
thread_local int entered = -1; // the device whose context is current on this thread
thread_local std::array<Handle, kMaxDevices> streams{};

int attribute(int which, int device) {
  int v = 0;
  FB_CU(DeviceGetAttribute, &v, which, device);
  return v;
}

std::unique_ptr<Gpu> open(int index) {
  auto g = std::make_unique<Gpu>();
  int device = 0;
  char name[256] = {};
  FB_CU(DeviceGet, &device, index);
  FB_CU(DeviceGetName, name, int(sizeof name) - 1, device);
  g->index = index;
  g->name = name;
  g->major = attribute(kMajor, device);
  g->minor = attribute(kMinor, device);
  g->multiprocessors = attribute(kMultiprocessors, device);
  g->threads_per_multiprocessor = attribute(kMaxThreadsPerMultiprocessor, device);
  g->shared_optin = attribute(kSharedOptIn, device);
  FB_CU(DeviceTotalMem, &g->memory, device);
  FB_CU(DevicePrimaryCtxRetain, &g->context, device);
  FB_CU(CtxSetCurrent, g->context);
  constexpr unsigned kNonBlocking = 1;
  FB_CU(StreamCreateWithPriority, &g->stream, kNonBlocking, 0);
  return g;
}

} // namespace

int device_count() {
  static const int count = [] {
    int n = 0;
    if (!driver_problem().empty() || driver().DeviceGetCount(&n) != kSuccess) return 0;
    return n < kMaxDevices ? n : kMaxDevices;
  }();
  return count;
}

int current_device() { return current; }

void set_device(int index) {
  if (index == current) return;
  FB_CHECK(index >= 0 && index < device_count(), "CUDA error: invalid device ordinal ", index,
           ": this machine has ", device_count(), " usable GPU(s)");
  current = index;
}

bool initialized() {
  std::lock_guard lock(mutex);
  for (auto& g : gpus)
    if (g) return true;
  return false;
}

Gpu& gpu(int index) {
  if (index == entered) [[likely]] {
    driver(); // refuses a forked process
    return *gpus[size_t(index)];
  }
  driver();
  FB_CHECK(index >= 0 && index < device_count(), "device 'cuda:", index,
           "' does not exist: this machine has ", device_count(), " usable GPU(s)");
  std::lock_guard lock(mutex);
  auto& g = gpus[size_t(index)];
  if (!g) g = open(index);
  FB_CU(CtxSetCurrent, g->context);
  entered = index;
  return *g;
}

Handle current_stream(int index) {
  Gpu& g = gpu(index);
  Handle s = streams[size_t(index)];
  return s ? s : g.stream;
}
void set_stream(int index, Handle stream) {
  gpu(index);
  streams[size_t(index)] = stream;
}
Handle create_stream(int index, int priority) {
  gpu(index);
  Handle s = nullptr;
  constexpr unsigned kNonBlocking = 1;
  FB_CU(StreamCreateWithPriority, &s, kNonBlocking, priority);
  return s;
}

void synchronize(int index) {
  gpu(index);
  {
    Waiting wait;
    FB_CU(CtxSynchronize);
  }
  raise_faults(index);
}

bool is_capturing(int index) {
  int status = 0;
  FB_CU(StreamIsCapturing, current_stream(index), &status);
  return status != 0;
}

CaptureRelaxed::CaptureRelaxed() { FB_CU(ThreadExchangeStreamCaptureMode, &mode); }
CaptureRelaxed::~CaptureRelaxed() { driver().ThreadExchangeStreamCaptureMode(&mode); }

Waiting::Waiting() : token(host_hooks.release ? host_hooks.release() : nullptr) {}
Waiting::~Waiting() {
  if (token) host_hooks.reacquire(token);
}

} // namespace flambeau::cuda
