// Attention on raw pointers, a block of queries against a block of keys at a time: no matrix of
// all scores is ever made.
#pragma once

#include <cstdint>
#include <vector>

namespace flambeau {

// One matrix for each head: head h begins at data + at[h]; rows are `row` apart, columns adjacent.
template<class T>
struct HeadMatrices {
  T* data = nullptr;
  std::vector<int64_t> at;
  int64_t row = 0;
};

template<class T>
struct AttentionJob {
  int64_t heads, queries, keys, dim, value_dim;
  bool causal; // query i sees the keys 0 ... i
  T scale;
  HeadMatrices<const T> q, k, v;
  HeadMatrices<const T> bias;    // added to the scores; none where data is null
  HeadMatrices<const bool> keep; // false: as if -inf were added; none where data is null
};

// out = softmax(q k^T scale + bias) v, and for each row (heads x queries) the logarithm of the sum
// of exponentials: +inf for a row that sees nothing, whose output is 0.
template<class T>
void attention_forward(const AttentionJob<T>& job, const HeadMatrices<T>& out, T* lse);

// Gradients from those of the output; dk and dv may not share rows between heads.
template<class T>
void attention_backward(const AttentionJob<T>& job, const HeadMatrices<const T>& out,
                        const HeadMatrices<const T>& grad, const T* lse, const HeadMatrices<T>& dq,
                        const HeadMatrices<T>& dk, const HeadMatrices<T>& dv);

// What a chunk of the backward pass works on: queries [begin, end) of a head.
template<class T>
struct AttentionGrads {
  const T *out, *grad;
  int64_t out_row, grad_row;
  const T* lse; // of query 0
  T *dq, *dk, *dv;
  int64_t dq_row, dk_row, dv_row;
};

// The chunks, for one instruction set.
template<class T>
struct AttentionKernels {
  // Queries [begin, end) of a head; `out` is that of query 0.
  void (*forward)(const AttentionJob<T>& job, int64_t head, int64_t begin, int64_t end, T* out,
                  int64_t out_row, T* lse);
  // Writes dq of its queries, and to dk and dv what these add to all keys.
  void (*backward)(const AttentionJob<T>& job, int64_t head, int64_t begin, int64_t end,
                   const AttentionGrads<T>& to);
};

constexpr int64_t kQueryBlock = 192;

namespace base {
template<class T>
const AttentionKernels<T>* attention_kernels();
}
namespace avx2 {
template<class T>
const AttentionKernels<T>* attention_kernels(); // null when the file was not compiled for it
}
namespace avx512 {
template<class T>
const AttentionKernels<T>* attention_kernels();
}

} // namespace flambeau
