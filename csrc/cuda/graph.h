// CUDA graphs: work recorded from the current stream, launched again as one.
#pragma once
#include <memory>

#include "pool.h"

namespace flambeau::cuda {

class Graph {
 public:
  explicit Graph(int device) : device_(device) {}
  ~Graph();
  Graph(const Graph&) = delete;
  Graph& operator=(const Graph&) = delete;
  // mode: 0 global, 1 thread local, 2 relaxed. The graph owns the memory of what is made while it
  // records, and shares that of `other` if given: then both must not run at the same time.
  void begin(int mode, Graph* other);
  void end();
  void replay();

 private:
  int device_;
  bool recording_ = false;
  Handle graph_ = nullptr, executable_ = nullptr, stream_ = nullptr;
  std::shared_ptr<PrivatePool> pool_;
};

} // namespace flambeau::cuda
