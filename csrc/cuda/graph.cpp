// Capture and replay.
#include "graph.h"

#include "../core/error.h"

namespace flambeau::cuda {

Graph::~Graph() {
  try {
    const Driver& d = driver();
    if (recording_) {
      Handle dropped = nullptr;
      d.StreamEndCapture(stream_, &dropped);
      if (dropped) d.GraphDestroy(dropped);
      use_private_pool(device_, nullptr);
    }
    if (executable_) d.GraphExecDestroy(executable_);
    if (graph_) d.GraphDestroy(graph_);
  } catch (const Error&) {
    // In a forked child the graph is its parent's.
  }
}

void Graph::begin(int mode, std::shared_ptr<PrivatePool> pool) {
  FB_CHECK(!recording_ && !executable_, "a CUDAGraph can be captured once");
  Gpu& g = gpu(device_);
  stream_ = current_stream(device_);
  FB_CHECK(stream_ != g.stream, "a CUDA graph is captured on a stream of its own: use "
                                "flambeau.cuda.graph(g), or a torch.cuda.stream(...) block");
  pool_ = pool ? std::move(pool) : make_private_pool(device_);
  random_.begin(device_);
  FB_CU(StreamBeginCapture, stream_, mode);
  recording_ = true;
  use_private_pool(device_, pool_);
}

void Graph::end() {
  FB_CHECK(recording_, "capture_end() without capture_begin()");
  recording_ = false;
  random_.end();
  use_private_pool(device_, nullptr);
  FB_CU(StreamEndCapture, stream_, &graph_);
  FB_CU(GraphInstantiateWithFlags, &executable_, graph_, 0);
}

void Graph::replay() {
  FB_CHECK(executable_, "replay() of a CUDAGraph that was not captured");
  gpu(device_);
  random_.before_replay();
  FB_CU(GraphLaunch, executable_, current_stream(device_));
}

} // namespace flambeau::cuda
