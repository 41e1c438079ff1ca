// Random numbers in CUDA graphs: each replay draws new ones.
#pragma once
#include <memory>
#include <vector>

#include "../ops/random.h"

namespace flambeau::cuda {

// What one graph draws. While it is recorded, ops take the seed and their first place from memory
// on the GPU; a replay sets that memory, and moves the generators on by what the graph draws.
class GraphRandom {
 public:
  ~GraphRandom();
  void begin(int device); // before the capture, with the common pool in use
  void end();
  void before_replay();

 private:
  friend bool draw_in_graph(PhiloxState& g, uint64_t ticks, PhiloxDraw& draw);
  struct Source {
    std::shared_ptr<PhiloxState> state;
    uint64_t cell; // address of two 64-bit integers
    uint64_t used = 0;
  };
  int device_ = 0;
  Tensor cells_;
  std::vector<Source> sources_;
};

// If a graph is being recorded from the current stream of g's device: the place there of a draw of
// `ticks` values, and true.
bool draw_in_graph(PhiloxState& g, uint64_t ticks, PhiloxDraw& draw);

} // namespace flambeau::cuda
