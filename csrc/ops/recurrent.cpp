// One direction of a recurrent layer over all steps: one product for all inputs, then a kernel that
// walks the steps; or the same composed of ops, for other devices and to be differentiated twice.
#include "../cpu/recurrent.h"

#include "../core/by_ops.h"
#include "../core/registry.h"
#include "../cpu/gemm.h"
#include "ops.h"

namespace flambeau {
namespace {

enum Input { X, H0, C0, WIh, WHh, BIh, BHh };
constexpr int kInputs = 7;

struct Layout {
  Cell cell;
  bool reverse;
  Dims sizes; // rows of each step

  int64_t gates() const { return gates_of(cell); }
  int64_t weights() const { return cell == Cell::Gru ? 3 : gates(); } // rows, in hidden sizes
};

// ---- composed of ops ----

using State = SmallVec<Tensor, 2>; // h, c

State step(Cell cell, const Tensor& x, const State& s, const Tensor& w, const Tensor& b,
           const Tensor& projection) {
  Tensor y = linear(s[0], w, b);
  if (cell == Cell::Gru) {
    Tensors from_x = chunk(x, 3, -1), from_h = chunk(y, 3, -1);
    Tensor r = sigmoid(from_x[0] + from_h[0]), z = sigmoid(from_x[1] + from_h[1]);
    Tensor n = tanh(from_x[2] + r * from_h[2]);
    return {n + z * (s[0] - n)};
  }
  Tensor sum = x + y;
  if (cell == Cell::Tanh) return {tanh(sum)};
  if (cell == Cell::Relu) return {relu(sum)};
  Tensors g = chunk(sum, 4, -1);
  Tensor c = sigmoid(g[1]) * s[1] + sigmoid(g[0]) * tanh(g[2]);
  Tensor h = sigmoid(g[3]) * tanh(c);
  return {projection.defined() ? linear(h, projection, Tensor()) : h, c};
}

// Outputs of all rows, and the final states.
Tensors walk(const Layout& layout, const Inputs& in, const Tensor& projection) {
  State state{in[H0]};
  if (in[C0].defined()) state.push_back(in[C0]);
  Tensors parts = split(linear(in[X], in[WIh], in[BIh]), layout.sizes, 0), outputs(parts.size());
  const int steps = int(parts.size());
  for (int i = 0; i < steps; ++i) {
    const int t = layout.reverse ? steps - 1 - i : i;
    const int64_t rows = layout.sizes[t], batch = state[0].size(0);
    State now;
    for (const Tensor& s : state) now.push_back(rows == batch ? s : narrow(s, 0, 0, rows));
    now = step(layout.cell, parts[size_t(t)], now, in[WHh], in[BHh], projection);
    outputs[size_t(t)] = now[0];
    // Sequences that are over (or, in reverse, have not begun) keep their state.
    for (int k = 0; k < state.size(); ++k)
      state[k] = rows == batch ? now[k] : cat({now[k], narrow(state[k], 0, rows, batch - rows)}, 0);
  }
  Tensors r{cat(outputs, 0)};
  r.insert(r.end(), state.begin(), state.end());
  return r;
}

// ---- the kernel ----

template<class T>
const T* data_of(const Tensor& t) {
  return t.defined() ? t.data<T>() : nullptr;
}

struct Recurrent final : OpOf<Recurrent> {
  Layout layout;
  const char* name() const override {
    constexpr const char* names[] = {"_lstm", "_gru", "_rnn_tanh", "_rnn_relu"};
    return names[int(layout.cell)];
  }
  bool lstm() const { return layout.cell == Cell::Lstm; }
  bool plain() const { return layout.gates() == 1; }
  // Outputs: out, h_n, c_n (LSTM); and, for the derivative, gates (not of RNNs), cells (LSTM).
  int gates_at() const { return lstm() ? 3 : 2; }
  Specs infer(const Inputs& in) override {
    const int64_t rows = in[X].size(0), hidden = in[H0].size(-1);
    const DType type = in[X].dtype(), c = compute_type(type);
    Specs r{{{rows, hidden}, type}, {in[H0].shape(), type}};
    if (lstm()) r.push_back({in[C0].shape(), type});
    if (!plain()) r.push_back({{rows, layout.gates() * hidden}, c});
    if (lstm()) r.push_back({{rows, hidden}, c});
    return r;
  }
  uint32_t not_differentiable() const override { return lstm() ? 24 : plain() ? 0 : 4; }
  Saves saves(const Inputs& in) const override {
    uint32_t mask = 0;
    for (int i = 0; i < kInputs; ++i) mask |= uint32_t(in[i].defined()) << i;
    return {mask, not_differentiable() | 1u};
  }

  template<class T>
  RecurrentJob<T> job(const Inputs& in, const Tensor& out, const Tensor& gates,
                      const Tensor& cells) const {
    return {layout.cell,         layout.reverse,     layout.sizes.size(),
            in[H0].size(0),      in[H0].size(-1),    layout.sizes.data(),
            data_of<T>(in[WHh]), data_of<T>(in[H0]), data_of<T>(in[C0]),
            gates.data<T>(),     out.data<T>(),      cells.defined() ? cells.data<T>() : nullptr};
  }
  static Inputs dense(const Inputs& in, DType type) {
    Inputs r;
    for (const Tensor& t : in) r.push_back(t.defined() ? contiguous(to_dtype(t, type)) : t);
    return r;
  }

  // The biases of a row of gates; those that the steps add anew each time among them.
  template<class T>
  std::vector<T> bias_row(const Inputs& in) const {
    const int64_t hidden = in[H0].size(-1), n = layout.weights() * hidden;
    std::vector<T> row(size_t(layout.gates() * hidden), T(0));
    const T *a = data_of<T>(in[BIh]), *b = data_of<T>(in[BHh]);
    const bool gru = layout.cell == Cell::Gru;
    for (int64_t j = 0; j < n; ++j) {
      if (a) row[size_t(j)] += a[j];
      if (b) row[size_t(gru && j >= 2 * hidden ? j + hidden : j)] += b[j];
    }
    return row;
  }

  void cpu(const Inputs& raw, Outputs& results) override {
    NoGrad off;
    const DType c = compute_type(raw[X].dtype());
    const bool same = c == raw[X].dtype();
    Inputs in = dense(raw, c);
    Tensor out = same ? results[0] : empty(results[0].shape(), c);
    Tensor h = same ? results[1] : empty(results[1].shape(), c), last;
    if (lstm()) last = same ? results[2] : empty(results[2].shape(), c);
    Tensor gates = plain() ? out : results[gates_at()], cells = lstm() ? results[4] : Tensor();
    dispatch_float(c, name(), [&](auto tag) {
      using T = typename decltype(tag)::type;
      const int64_t rows = in[X].size(0), size = in[X].size(1), width = gates.size(1);
      std::vector<T> bias = bias_row<T>(in);
      T* g = gates.data<T>();
      const int64_t of_x = in[WIh].size(0); // a GRU's last gate comes from the state alone
      for (int64_t r = 0; r < rows && of_x < width; ++r)
        std::copy(bias.begin() + of_x, bias.end(), g + r * width + of_x);
      gemm<T>(false, true, rows, of_x, size, T(1), in[X].data<T>(), size, in[WIh].data<T>(), size,
              T(1), g, width, bias.data(), 0);
      recurrent_forward<T>(job<T>(in, out, gates, cells), h.data<T>(),
                           lstm() ? last.data<T>() : nullptr);
    });
    if (same) return;
    copy_values(results[0], out);
    copy_values(results[1], h);
    if (lstm()) copy_values(results[2], last);
  }
  void cuda(const Inputs& in, Outputs& out) override { host_round_trip(*this, in, out); }

  Grads vjp(const Saved& s, const Grads& g) override {
    Inputs in;
    for (int i = 0; i < kInputs; ++i)
      in.push_back(s.node.saved_inputs >> i & 1 ? s.input(i) : Tensor());
    if (grad_enabled())
      return vjp_by_ops(s, in, g, [&](const Inputs& x) { return walk(layout, x, Tensor()); });
    return vjp_cpu(s, dense(in, compute_type(in[X].dtype())), g);
  }

  Grads vjp_cpu(const Saved& s, const Inputs& in, const Grads& g) {
    const DType c = in[X].dtype();
    const int64_t rows = in[X].size(0), hidden = in[H0].size(-1);
    Tensor out = contiguous(to_dtype(s.output(0), c)), gates = plain() ? out : s.output(gates_at());
    Tensor cells = lstm() ? s.output(4) : Tensor();
    auto given = [&](int i) { return g[i].defined() ? to_dtype(g[i], c) : Tensor(); };
    auto state = [&](int i) { // becomes the gradient of the first state
      Tensor t = given(i);
      return t.defined() ? restride_copy(t, contiguous_strides(t.shape())) : zeros_like(in[H0]);
    };
    Tensor dout = given(0), dh = state(1), dc = lstm() ? state(2) : Tensor();
    if (dout.defined()) dout = contiguous(dout);
    Tensor dgates = empty({rows, layout.gates() * hidden}, c);
    Tensor previous = s.needs(WHh) ? empty({rows, hidden}, c) : Tensor();
    Grads r(kInputs, Tensor());
    dispatch_float(c, name(), [&](auto tag) {
      using T = typename decltype(tag)::type;
      recurrent_backward<T>(job<T>(in, out, gates, cells), data_of<T>(dout), dh.data<T>(),
                            lstm() ? dc.data<T>() : nullptr, dgates.data<T>(),
                            previous.defined() ? previous.data<T>() : nullptr);
    });
    const bool gru = layout.cell == Cell::Gru;
    Tensor of_x = gru ? narrow(dgates, 1, 0, 3 * hidden) : dgates;
    if (s.needs(X)) r[X] = mm(of_x, in[WIh]);
    if (s.needs(H0)) r[H0] = dh;
    if (s.needs(C0)) r[C0] = dc;
    if (s.needs(WIh)) r[WIh] = mm(t(of_x), in[X]);
    if (s.needs(BIh)) r[BIh] = sum(of_x, {0});
    if (!gru) {
      if (s.needs(WHh)) r[WHh] = mm(t(dgates), previous);
      if (s.needs(BHh)) r[BHh] = s.needs(BIh) ? r[BIh] : sum(dgates, {0});
      return r;
    }
    Tensor first = narrow(dgates, 1, 0, 2 * hidden), last = narrow(dgates, 1, 3 * hidden, hidden);
    if (s.needs(WHh)) r[WHh] = cat({mm(t(first), previous), mm(t(last), previous)}, 0);
    if (s.needs(BHh)) r[BHh] = cat({sum(first, {0}), sum(last, {0})}, 0);
    return r;
  }
};

void check(const Layout& layout, const Inputs& in, const char* name) {
  for (const Tensor& t : in)
    FB_CHECK(!t.defined() || t.dtype() == in[X].dtype(), name, ": the input is ", in[X].dtype(),
             " but a state or weight is ", t.dtype(), ": convert one of them with .to()");
  FB_CHECK(is_float(in[X].dtype()), name, ": expected floating tensors, got ", describe(in[X]));
  int64_t rows = 0;
  for (int64_t n : layout.sizes) rows += n;
  FB_CHECK(in[X].dim() == 2 && in[X].size(0) == rows && in[H0].dim() == 2, name,
           ": expected an input of ", rows, " rows and a state (batch, hidden), got ",
           describe(in[X]), " and ", describe(in[H0]));
  FB_CHECK(in[X].size(1) == in[WIh].size(-1) && in[WIh].size(0) == in[WHh].size(0), name,
           ": weights ", describe(in[WIh]), " and ", describe(in[WHh]), " do not fit the input ",
           describe(in[X]));
}

// _recurrent(mode, reverse, sizes, input, h0, c0, w_ih, w_hh, b_ih, b_hh, w_hr)
Value call(Args& a) {
  Layout layout{Cell(a.integer(0)), a.flag(1), a.dims(2)};
  Inputs in;
  for (int i = 0; i < kInputs; ++i) in.push_back(a.tensor(3 + i));
  Tensor projection = a.tensor(3 + kInputs);
  check(layout, in, "_recurrent");
  if (projection.defined() || in[X].is_cuda() || in[X].numel() == 0)
    return walk(layout, in, projection);
  Recurrent op;
  op.layout = layout;
  Outputs r = apply_all(op, in);
  Tensors out{r[0], r[1]};
  if (op.lstm()) out.push_back(r[2]);
  return out;
}

Register rows({
    {"_recurrent(int cell, bool reverse, int[] sizes, Tensor input, Tensor h0, Tensor? c0, Tensor "
     "w_ih, Tensor w_hh, Tensor? b_ih, Tensor? b_hh, Tensor? w_hr) -> Tensor()",
     kFunction, call,
     "One direction of a recurrent layer over rows (all steps after another, sizes[t] each): the "
     "outputs and the final states."},
});

} // namespace
} // namespace flambeau
