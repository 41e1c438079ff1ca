// GPUs: their contexts and properties, the current device, streams and events.
#pragma once
#include <string>

#include "../core/device.h"
#include "driver.h"

namespace flambeau::cuda {

struct Gpu {
  int index = 0;
  Handle context = nullptr;
  Handle stream = nullptr; // the default stream: non-blocking, ours
  std::string name;
  size_t memory = 0; // bytes
  int major = 0, minor = 0;
  int multiprocessors = 0;
  int threads_per_multiprocessor = 0;
  int shared_optin = 0; // bytes of shared memory that a block may have
};

int device_count();         // 0 when there is no usable driver; never raises
int current_device();       // of this thread
void set_device(int index); // raises on an index that does not exist
bool initialized();         // whether a context exists

// The GPU with its context made and current on this thread.
Gpu& gpu(int index);
inline Gpu& gpu() { return gpu(current_device()); }

// The stream on which this thread's work for the device goes.
Handle current_stream(int index);
void set_stream(int index, Handle stream); // null: the default stream
Handle create_stream(int index, int priority);

void synchronize(int index);
bool is_capturing(int index); // whether the current stream records a graph

// While it lives, this thread may allocate and load code although a stream records a graph.
struct CaptureRelaxed {
  CaptureRelaxed();
  ~CaptureRelaxed();
  int mode = 2;
};

// Lets go of the GIL, when this thread holds it, while waiting for the GPU or the compiler.
struct Waiting {
  Waiting();
  ~Waiting();
  void* token;
};

} // namespace flambeau::cuda
