// CUDA graphs: work recorded from the current stream, launched again as one.
#pragma once
#include <memory>

#include "graph_random.h"
#include "pool.h"

namespace flambeau::cuda {

class Graph {
 public:
  explicit Graph(int device) : device_(device) {}
  ~Graph();
  Graph(const Graph&) = delete;
  Graph& operator=(const Graph&) = delete;
  // mode: 0 global, 1 thread local, 2 relaxed. What is made while it records lies in `pool`, or in
  // memory of the graph's own: graphs that share a pool must not run at the same time.
  void begin(int mode, std::shared_ptr<PrivatePool> pool);
  void end();
  void replay();
  const std::shared_ptr<PrivatePool>& pool() const { return pool_; }

 private:
  int device_;
  bool recording_ = false;
  Handle graph_ = nullptr, executable_ = nullptr, stream_ = nullptr;
  std::shared_ptr<PrivatePool> pool_;
  GraphRandom random_;
};

} // namespace flambeau::cuda
