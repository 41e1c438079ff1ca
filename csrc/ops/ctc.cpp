// Connectionist temporal classification (Graves et al. 2006): the forward-backward recursion of one
// sequence a thread, or the same composed of ops, for other devices and second derivatives.
#include <algorithm>
#include <vector>

#include "../core/by_ops.h"
#include "../core/registry.h"
#include "../cpu/parallel.h"
#include "../cpu/vecmath.h"
#include "reduce_ops.h"

namespace flambeau {
namespace {

struct Lengths {
  Dims inputs, targets;
  int64_t blank;
};

// ---- the kernel ----

template<class T>
constexpr T kNever = -std::numeric_limits<T>::infinity(); // the logarithm of 0

template<class T>
FB_MATH T log_sum(T a, T b, T c) {
  T m = a > b ? a : b;
  m = c > m ? c : m;
  const T shift = m == kNever<T> ? T(0) : m; // -inf less itself is no number
  return shift + math::log(math::exp(a - shift) + math::exp(b - shift) + math::exp(c - shift));
}

// to[s] = log of the sum over a[s], a[s + step] and a[s + 2 step] where `skip` lets it, plus e[s].
template<class T, int step>
void advance(int64_t n, const T* __restrict a, const T* __restrict skip, const T* __restrict e,
             T* __restrict to) {
  for (int64_t s = 0; s < n; ++s)
    to[s] = log_sum(a[s], a[s + step], a[s + 2 * step] + skip[s]) + e[s];
}

// One sequence: its labels with blanks around each, and the rows of a step's states, which have
// two more on either side.
template<class T>
struct Alignment {
  int64_t steps, states, row; // row: from one step's log-probabilities to the next
  const T* log_probs;
  std::vector<int64_t> labels;
  std::vector<T> skip, emit, now, next, nothing;

  Alignment(const T* p, int64_t row_size, const int64_t* targets, int64_t n_steps, int64_t n,
            int64_t blank)
      : steps(n_steps), states(2 * n + 1), row(row_size), log_probs(p),
        labels(size_t(states), blank), skip(size_t(states) + 2, kNever<T>), emit(size_t(states)),
        now(size_t(states) + 4, kNever<T>), next(now), nothing(size_t(states)) {
    for (int64_t i = 0; i < n; ++i) labels[size_t(2 * i + 1)] = targets[i];
    for (int64_t s = 3; s < states; s += 2) // between equal labels the blank must stay
      if (labels[size_t(s)] != labels[size_t(s - 2)]) skip[size_t(s)] = 0;
  }
  T* state(std::vector<T>& v) { return v.data() + 2; }
  void read(int64_t t) {
    for (int64_t s = 0; s < states; ++s) emit[size_t(s)] = log_probs[t * row + labels[size_t(s)]];
  }

  // alpha[t * width + s]: log-probability of all beginnings that end in s at t. Returns the loss.
  T forward(T* alpha, int64_t width) {
    if (steps == 0) return states == 1 ? T(0) : -kNever<T>;
    for (int64_t t = 0; t < steps; ++t) {
      read(t);
      const T *a = state(now), *by = skip.data(), *e = emit.data();
      T* to = state(next);
      if (t == 0)
        for (int64_t s = 0; s < states; ++s) to[s] = s < 2 ? e[s] : kNever<T>;
      else
        advance<T, -1>(states, a, by, e, to);
      std::copy_n(to, states, alpha + t * width);
      now.swap(next);
    }
    const T* a = state(now);
    return -log_sum(a[states - 1], a[states - 2], kNever<T>);
  }

  // Adds to grad the derivative of the loss times `by`.
  void backward(const T* alpha, int64_t width, T loss, T by, T* grad) {
    if (loss == -kNever<T> || steps == 0) return;
    T* last = state(now);
    last[states - 1] = 0;
    if (states > 1) last[states - 2] = 0;
    for (int64_t t = steps - 1; t >= 0; --t) {
      const T *b = state(now), *a = alpha + t * width;
      T *p = emit.data(), *to = state(next);
      for (int64_t s = 0; s < states; ++s) p[s] = by * math::exp(a[s] + b[s] + loss);
      for (int64_t s = 0; s < states; ++s) grad[t * row + labels[size_t(s)]] -= p[s];
      if (t == 0) return;
      read(t);
      T* from = state(now);
      for (int64_t s = 0; s < states; ++s) from[s] += emit[size_t(s)];
      advance<T, 1>(states, from, skip.data() + 2, nothing.data(), to);
      now.swap(next);
    }
  }
};

// ---- composed of ops ----

Tensor as_tensor(const std::vector<int64_t>& values, const Dims& shape, DType dtype, Device to) {
  Tensor t = empty(shape, DType::I64);
  std::copy(values.begin(), values.end(), t.data<int64_t>());
  return move_to(t, to, dtype);
}

Tensor by_ops(const Lengths& lengths, const Tensor& log_probs, const Tensor& targets) {
  const int64_t steps = log_probs.size(0), batch = log_probs.size(1);
  const int64_t width = 2 * targets.size(1) + 1;
  const Device device = log_probs.device();
  const DType type = log_probs.dtype();
  const double least = type == DType::F64 ? -1e30 : -1e20; // finite, so that gradients are too
  std::vector<int64_t> label(size_t(batch * width), lengths.blank), can_skip(label.size()),
      valid(label.size()), last, no_label, dead;
  Tensor own = contiguous(on_host(detach(targets)));
  const int64_t* of = own.data<int64_t>();
  for (int64_t n = 0; n < batch; ++n) {
    const int64_t count = lengths.targets[int(n)];
    for (int64_t s = 0; s < width; ++s) {
      const size_t at = size_t(n * width + s);
      if (s % 2) label[at] = of[n * targets.size(1) + s / 2];
      can_skip[at] = s > 2 && s % 2 && label[at] != label[at - 2];
      valid[at] = s <= 2 * count;
    }
    last.push_back(2 * count);
    last.push_back(std::max<int64_t>(2 * count - 1, 0));
    no_label.push_back(0);
    no_label.push_back(count == 0);
    dead.push_back(lengths.inputs[int(n)] == 0);
  }
  auto mask = [&](const std::vector<int64_t>& v, const Dims& shape) {
    return as_tensor(v, shape, DType::Bool, device);
  };
  Tensor states = as_tensor(label, {1, batch, width}, DType::I64, device);
  Tensor skip = mask(can_skip, {batch, width}), inside = mask(valid, {batch, width});
  Tensor low = full({}, least, type, device), inf = full({}, -kNever<double>, type, device);
  Tensor emit = gather(log_probs, 2, expand(states, {steps, batch, width}));
  std::vector<int64_t> begins(valid);
  for (size_t i = 0; i < begins.size(); ++i) begins[i] = begins[i] && int64_t(i) % width < 2;
  Tensor alpha = where(mask(begins, {batch, width}), select(emit, 0, 0), low);
  Tensor blocked = full({batch, 2}, least, type, device);
  for (int64_t t = 1; t < steps; ++t) {
    Tensor next = alpha;
    if (width > 1) {
      Tensor one = cat({narrow(blocked, 1, 0, 1), narrow(alpha, 1, 0, width - 1)}, 1);
      Tensor two = cat({blocked, narrow(alpha, 1, 0, width - 2)}, 1);
      next = logsumexp(stack({alpha, one, where(skip, two, low)}, 0), {0});
    }
    next = where(inside, next + select(emit, 0, t), low);
    std::vector<int64_t> running;
    for (int64_t n = 0; n < batch; ++n) running.push_back(t < lengths.inputs[int(n)]);
    alpha = where(mask(running, {batch, 1}), next, alpha);
  }
  Tensor ends = gather(alpha, 1, as_tensor(last, {batch, 2}, DType::I64, device));
  Tensor loss = -logsumexp(where(mask(no_label, {batch, 2}), low, ends), {1});
  Tensor nothing = where(slice(mask(no_label, {batch, 2}), 1, 1, 2), zeros({}, type, device), inf);
  loss = where(mask(dead, {batch}), squeeze(nothing, {1}), loss);
  return where(gt(detach(loss), full({}, -least / 2, type, device)), inf, loss);
}

// ---- the op ----

// Inputs: log-probabilities (T, N, C) and targets (N, S) of int64. Outputs: the losses, alpha.
struct CtcLoss final : OpOf<CtcLoss> {
  Lengths lengths;
  const char* name() const override { return "ctc_loss"; }
  Specs infer(const Inputs& in) override {
    const int64_t batch = in[0].size(1), width = 2 * in[1].size(1) + 1;
    const DType type = in[0].dtype();
    return {{{batch}, type}, {{batch, in[0].size(0), width}, compute_type(type)}};
  }
  uint32_t not_differentiable() const override { return 2; }
  Saves saves(const Inputs&) const override { return {3, 3}; }

  // f(n, the alignment of sequence n), in parallel.
  template<class T, class F>
  void each(const Tensor& p, const Tensor& targets, F&& f) const {
    const int64_t steps = p.size(0), batch = p.size(1), classes = p.size(2);
    const int64_t width = targets.size(1);
    const T* data = p.data<T>();
    const int64_t* labels = targets.data<int64_t>();
    const int64_t grain = std::max<int64_t>(1, 4096 / (steps * (2 * width + 1)));
    parallel_for(batch, grain, [&](int64_t n, int64_t end) {
      for (; n < end; ++n) {
        Alignment<T> a(data + n * classes, batch * classes, labels + n * width,
                       lengths.inputs[int(n)], lengths.targets[int(n)], lengths.blank);
        f(n, a);
      }
    });
  }
  void cpu(const Inputs& in, Outputs& out) override {
    NoGrad off;
    const DType c = out[1].dtype();
    Tensor p = contiguous(to_dtype(in[0], c)), targets = contiguous(in[1]);
    Tensor losses = c == in[0].dtype() ? out[0] : empty(out[0].shape(), c);
    const int64_t width = out[1].size(2), each_size = out[1].size(1) * width;
    dispatch_float(c, name(), [&](auto tag) {
      using T = typename decltype(tag)::type;
      T *to = losses.data<T>(), *alpha = out[1].data<T>();
      each<T>(p, targets,
              [&](int64_t n, Alignment<T>& a) { to[n] = a.forward(alpha + n * each_size, width); });
    });
    if (!losses.is(out[0])) copy_values(out[0], losses);
  }
  void cuda(const Inputs& in, Outputs& out) override {
    NoGrad off;
    copy_values(out[0], by_ops(lengths, in[0], in[1]));
  }
  Grads vjp(const Saved& s, const Grads& g) override {
    Tensor in = s.input(0), targets = contiguous(s.input(1));
    if (grad_enabled())
      return vjp_by_ops(s, {in, targets}, g,
                        [&](const Inputs& x) { return Tensors{by_ops(lengths, x[0], x[1])}; });
    const DType c = compute_type(in.dtype());
    Tensor p = contiguous(to_dtype(in, c)), scale = contiguous(to_dtype(g[0], c));
    Tensor losses = to_dtype(s.output(0), c), alpha = s.output(1), r = zeros(p.shape(), c);
    const int64_t width = alpha.size(2), each_size = alpha.size(1) * width, classes = p.size(2);
    dispatch_float(c, name(), [&](auto tag) {
      using T = typename decltype(tag)::type;
      const T *by = scale.data<T>(), *loss = losses.data<T>(), *from = alpha.data<T>();
      T* to = r.data<T>();
      each<T>(p, targets, [&](int64_t n, Alignment<T>& a) {
        a.backward(from + n * each_size, width, loss[n], by[n], to + n * classes);
      });
    });
    return {to_dtype(r, in.dtype()), Tensor()};
  }
};

void check_labels(const Tensor& targets, const Lengths& lengths, int64_t classes) {
  const int64_t *row = targets.data<int64_t>(), width = targets.size(1);
  for (int64_t n = 0; n < targets.size(0); ++n, row += width)
    for (int64_t i = 0; i < lengths.targets[int(n)]; ++i)
      FB_CHECK(row[i] >= 0 && row[i] < classes, "ctc_loss: target ", row[i], " of sequence ", n,
               " is no class: expected 0 to ", classes - 1);
}

Value call(Args& a) {
  Tensor p = a.tensor(0), targets = to_dtype(a.tensor(1), DType::I64);
  Lengths lengths{a.dims(2), a.dims(3), a.integer(4)};
  if (p.is_cuda()) return by_ops(lengths, p, targets);
  if (!p.is_meta()) check_labels(contiguous(targets), lengths, p.size(2));
  CtcLoss op;
  op.lengths = lengths;
  return apply_all(op, {p, targets})[0];
}

Register rows({
    {"_ctc_loss(Tensor log_probs, Tensor targets, int[] input_lengths, int[] target_lengths, int "
     "blank) -> Tensor",
     kFunction, call,
     "Negative log-likelihood of each target row (N, S) under log_probs (T, N, C)."},
});

} // namespace
} // namespace flambeau
