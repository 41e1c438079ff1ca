// Recurrent layers on raw pointers: the steps of one direction, forward and backward.
#pragma once

#include <cstdint>

namespace flambeau {

enum class Cell { Lstm, Gru, Tanh, Relu };
constexpr int kCells = 4;

// Values of a row and unit: LSTM i, f, g, o; GRU r, z, n and the state's part of n; else h itself.
constexpr int gates_of(Cell cell) { return cell <= Cell::Gru ? 4 : 1; }

// One direction of one layer. Rows are those of all steps, in order; `sizes` of them a step, never
// more than `batch`, and fewer the later the step is. Widths: gates (gates_of) hidden, others
// hidden. Weights are (3 hidden for a GRU, else gates) x hidden.
template<class T>
struct RecurrentJob {
  Cell cell;
  bool reverse; // the last step comes first
  int64_t steps, batch, hidden;
  const int64_t* sizes; // a step
  const T *weight, *h0, *c0;
  T *gates, *out, *cells; // gates: before, the inputs' part with the biases; `out` itself for RNNs
};

// Fills out, cells and gates, and the final states (batch x hidden).
template<class T>
void recurrent_forward(const RecurrentJob<T>& job, T* h_n, T* c_n);

// dgates from the gradients of out (null: zero) and, in dh and dc, those of the final states, which
// become those of the first. previous: the state that each row began with.
template<class T>
void recurrent_backward(const RecurrentJob<T>& job, const T* dout, T* dh, T* dc, T* dgates,
                        T* previous);

// One row of a step; pointers to units, gates `hidden` apart.
template<class T>
struct CellRow {
  int64_t units, hidden;
  T* gates;
  const T *h_before, *c_before;
  T *h, *c;
  // Backward. dh: in, the state's gradient; out (GRU), what goes straight to the state before.
  const T* dout;
  T *dh, *dc, *dgates;
};
template<class T>
struct CellKernels {
  void (*forward[kCells])(const CellRow<T>& row);
  void (*backward[kCells])(const CellRow<T>& row);
};

namespace base {
template<class T>
const CellKernels<T>* cell_kernels();
}
namespace avx2 {
template<class T>
const CellKernels<T>* cell_kernels(); // null when the file was not compiled for it
}
namespace avx512 {
template<class T>
const CellKernels<T>* cell_kernels();
}

} // namespace flambeau
