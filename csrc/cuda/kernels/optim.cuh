// Fused optimizer steps over many tensors with one launch: the formulas of
// csrc/cpu/optim_kernels.inc, in the order of their roundings. Defined in front: FB_TYPE, the
// stored type, and FB_RULE, one of the rules below.
//! needs: types.cuh

typedef FB_TYPE T;
typedef compute_t<T> C;
constexpr int kRoom = 56, kLists = 5, kChunk = 8192; // as in csrc/cuda/optim.cpp

struct Numbers {
  double lr, keep1, keep2, eps, penalty, decay; // what they mean is for the rule to say
  const void* lr_at;                            // on the GPU; null: lr above
  int wide_lr, wide_steps;                      // doubles, else floats
  int steps_here;                               // the counters are on the GPU
  int maximize, flag;
};
struct Table {
  T* at[kLists][kRoom]; // the parameter, its gradient, its states; null: not kept
  i64 size[kRoom];
  int first[kRoom]; // chunk of each tensor, in order
  union Count {
    double value;
    const void* at;
  } step[kRoom];
  int tensors;
};

struct Moment {
  double lr, step;
};

struct Adam { // keep1, keep2: the betas; flag: decoupled decay
  C sign, penalty, shrink, keep1, take1, keep2, take2, step, scale, eps;
  int near; // an int: no padding, which a copy would read
  __forceinline__ Adam(const Numbers& n, const Moment& m)
      : sign(n.maximize ? -1 : 1), penalty(n.flag ? 0. : n.penalty),
        shrink(n.flag ? 1 - m.lr * n.penalty : 1.), keep1(n.keep1), take1(1 - n.keep1),
        keep2(n.keep2), take2(1 - n.keep2), step(-(m.lr / (1 - ::pow(n.keep1, m.step)))),
        scale(1 / ::sqrt(1 - ::pow(n.keep2, m.step))), eps(n.eps), near(1 - n.keep1 < 0.5) {}
  __forceinline__ void operator()(C& p, C g, C& mean, C& square, C& largest, bool, bool,
                                  bool amsgrad) const {
    const C x = p * shrink, d = sign * g + penalty * x;
    mean = near ? mean + take1 * (d - mean) : d - (d - mean) * keep1;
    C v = square * keep2 + take2 * d * d;
    square = v;
    if (amsgrad) {
      v = largest > v || largest != largest ? largest : v;
      largest = v;
    }
    p = x + step * (mean / (std::sqrt(v) * scale + eps));
  }
};

struct Sgd { // keep1: momentum; keep2: dampening; flag: nesterov
  C sign, penalty, lr, momentum, fresh;
  int nesterov;
  __forceinline__ Sgd(const Numbers& n, const Moment& m)
      : sign(n.maximize ? -1 : 1), penalty(n.penalty), lr(-m.lr), momentum(n.keep1),
        fresh(1 - n.keep2), nesterov(n.flag) {}
  __forceinline__ void operator()(C& p, C g, C& buffer, C&, C&, bool kept, bool, bool) const {
    C d = sign * g + penalty * p;
    if (kept) {
      buffer = buffer * momentum + fresh * d;
      d = nesterov ? d + momentum * buffer : buffer;
    }
    p += lr * d;
  }
};

struct Rmsprop { // keep1: alpha; keep2: momentum
  C sign, penalty, lr, alpha, take, eps, keep;
  int near; // an int: no padding, which a copy would read
  __forceinline__ Rmsprop(const Numbers& n, const Moment& m)
      : sign(n.maximize ? -1 : 1), penalty(n.penalty), lr(-m.lr), alpha(n.keep1),
        take(1 - n.keep1), eps(n.eps), keep(n.keep2), near(1 - n.keep1 < 0.5) {}
  __forceinline__ void operator()(C& p, C g, C& square, C& mean, C& buffer, bool, bool centered,
                                  bool momentum) const {
    const C d = sign * g + penalty * p;
    C v = square * alpha + take * d * d;
    square = v;
    if (centered) {
      mean = near ? mean + take * (d - mean) : d - (d - mean) * alpha;
      v = v - mean * mean;
    }
    C step = d / (std::sqrt(v) + eps);
    if (momentum) {
      step = buffer * keep + step;
      buffer = step;
    }
    p += lr * step;
  }
};

struct Adagrad { // decay: of the learning rate
  C sign, penalty, step, eps;
  __forceinline__ Adagrad(const Numbers& n, const Moment& m)
      : sign(n.maximize ? -1 : 1), penalty(n.penalty),
        step(-(m.lr / (1 + (m.step - 1) * n.decay))), eps(n.eps) {}
  __forceinline__ void operator()(C& p, C g, C& sum, C&, C&, bool, bool, bool) const {
    const C d = sign * g + penalty * p;
    sum = sum + d * d;
    p += step * (d / (std::sqrt(sum) + eps));
  }
};

constexpr int kPack = 16 / sizeof(T);
struct alignas(16) Pack {
  T v[kPack];
};

__forceinline__ double number_at(const void* at, int wide) {
  return wide ? *(const double*)at : double(*(const float*)at);
}

// Elements [from, from + count) of tensor i; count is that of a pack, or 1.
template<class P, int count>
__forceinline__ void update(const FB_RULE& rule, T* const* at, i64 from) {
  P held[kLists];
#pragma unroll
  for (int k = 0; k < kLists; ++k)
    if (at[k]) held[k] = *(const P*)(at[k] + from);
#pragma unroll
  for (int j = 0; j < count; ++j) {
    C value[kLists];
#pragma unroll
    for (int k = 0; k < kLists; ++k) value[k] = at[k] ? convert<C>(((T*)&held[k])[j]) : C(0);
    rule(value[0], value[1], value[2], value[3], value[4], at[2], at[3], at[4]);
#pragma unroll
    for (int k = 0; k < kLists; ++k)
      if (k != 1 && at[k]) ((T*)&held[k])[j] = convert<T>(value[k]);
  }
#pragma unroll
  for (int k = 0; k < kLists; ++k)
    if (k != 1 && at[k]) *(P*)(at[k] + from) = held[k];
}

extern "C" __global__ void __launch_bounds__(256) optim_step(Table table, Numbers numbers) {
  int low = 0, high = table.tensors - 1; // the last tensor that begins at or before this chunk
  while (low < high) {
    const int mid = (low + high + 1) / 2;
    if (table.first[mid] <= (int)blockIdx.x)
      low = mid;
    else
      high = mid - 1;
  }
  T* at[kLists];
  bool packed = true;
#pragma unroll
  for (int k = 0; k < kLists; ++k) {
    at[k] = table.at[k][low];
    packed = packed && (unsigned long long)at[k] % 16 == 0;
  }
  Moment moment;
  moment.lr = numbers.lr_at ? number_at(numbers.lr_at, numbers.wide_lr) : numbers.lr;
  moment.step = numbers.steps_here ? number_at(table.step[low].at, numbers.wide_steps)
                                   : table.step[low].value;
  // One thread computes the rule's constants, which take powers in double, for its block.
  __shared__ alignas(8) char shared_rule[sizeof(FB_RULE)];
  if (threadIdx.x == 0) *(FB_RULE*)shared_rule = FB_RULE(numbers, moment);
  __syncthreads();
  const FB_RULE rule = *(const FB_RULE*)shared_rule;
  const i64 begin = (i64)((int)blockIdx.x - table.first[low]) * kChunk;
  const i64 size = table.size[low], end = begin + kChunk < size ? begin + kChunk : size;
  i64 i = begin;
  if (packed) {
    for (i64 k = begin + (i64)threadIdx.x * kPack; k + kPack <= end; k += 256 * kPack)
      update<Pack, kPack>(rule, at, k);
    i = end - (end - begin) % kPack;
  }
  for (i64 k = i + threadIdx.x; k < end; k += 256) update<T, 1>(rule, at, k);
}
