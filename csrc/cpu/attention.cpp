// Attention's chunks in parallel.
#include "attention.h"

#include <algorithm>

#include "gemm_kernels.h"
#include "parallel.h"

namespace flambeau {
namespace {

constexpr int64_t kChunkWork = 1 << 18; // multiply-adds that are worth a chunk of their own
constexpr int64_t kBackwardChunks = 8;  // as many as that, where the heads are fewer

template<class T>
const AttentionKernels<T>& kernels() {
  static const AttentionKernels<T>* const table = cpu_isa() == 2   ? avx512::attention_kernels<T>()
                                                  : cpu_isa() == 1 ? avx2::attention_kernels<T>()
                                                                   : base::attention_kernels<T>();
  return *table;
}

int64_t ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }

int64_t grain_of(int64_t work) {
  return std::max<int64_t>(1, kChunkWork / std::max<int64_t>(1, work));
}

// to[i] = the sum of the parts' element i.
template<class T>
void add_parts(int64_t parts, int64_t size, const T* from, int64_t rows, int64_t cols, T* to,
               int64_t row) {
  for (int64_t i = 0; i < rows; i++)
    for (int64_t j = 0; j < cols; j++) {
      T sum = from[i * cols + j];
      for (int64_t p = 1; p < parts; p++) sum += from[p * size + i * cols + j];
      to[i * row + j] = sum;
    }
}

} // namespace

template<class T>
void attention_forward(const AttentionJob<T>& job, const HeadMatrices<T>& out, T* lse) {
  const auto forward = kernels<T>().forward;
  const int64_t blocks = ceil_div(job.queries, kQueryBlock), rows = ceil_div(job.queries, blocks);
  const int64_t work = rows * job.keys * (job.dim + job.value_dim);
  parallel_for(job.heads * blocks, grain_of(work), [&](int64_t i, int64_t to) {
    for (; i < to; i++) {
      const int64_t head = i / blocks, begin = i % blocks * rows;
      if (begin >= job.queries) continue;
      forward(job, head, begin, std::min(job.queries, begin + rows), out.data + out.at[head],
              out.row, lse + head * job.queries);
    }
  });
}

// Where there are few heads, each is cut into parts that add up dk and dv for themselves.
template<class T>
void attention_backward(const AttentionJob<T>& job, const HeadMatrices<const T>& out,
                        const HeadMatrices<const T>& grad, const T* lse, const HeadMatrices<T>& dq,
                        const HeadMatrices<T>& dk, const HeadMatrices<T>& dv) {
  const auto backward = kernels<T>().backward;
  const int64_t blocks = ceil_div(job.queries, kQueryBlock);
  const int64_t wanted = std::min(blocks, ceil_div(kBackwardChunks, job.heads));
  const int64_t rows = ceil_div(job.queries, wanted), parts = ceil_div(job.queries, rows);
  const int64_t of_k = job.keys * job.dim, of_v = job.keys * job.value_dim, size = of_k + of_v;
  std::vector<T> sums(parts > 1 ? size_t(job.heads * parts * size) : 0);
  const int64_t work = rows * job.keys * (job.dim + job.value_dim) * 5 / 2;
  parallel_for(job.heads * parts, grain_of(work), [&](int64_t i, int64_t to) {
    for (; i < to; i++) {
      const int64_t head = i / parts, begin = i % parts * rows;
      AttentionGrads<T> g{};
      g.out = out.data + out.at[head], g.out_row = out.row;
      g.grad = grad.data + grad.at[head], g.grad_row = grad.row;
      g.lse = lse + head * job.queries;
      if (dq.data) g.dq = dq.data + dq.at[head], g.dq_row = dq.row;
      T* part = sums.data() + i * size;
      if (dk.data) g.dk = parts > 1 ? part : dk.data + dk.at[head];
      if (dv.data) g.dv = parts > 1 ? part + of_k : dv.data + dv.at[head];
      g.dk_row = parts > 1 ? job.dim : dk.row, g.dv_row = parts > 1 ? job.value_dim : dv.row;
      backward(job, head, begin, std::min(job.queries, begin + rows), g);
    }
  });
  if (parts == 1) return;
  parallel_for(job.heads, grain_of(parts * size), [&](int64_t head, int64_t to) {
    for (; head < to; head++) {
      const T* from = sums.data() + head * parts * size;
      if (dk.data) add_parts(parts, size, from, job.keys, job.dim, dk.data + dk.at[head], dk.row);
      if (dv.data)
        add_parts(parts, size, from + of_k, job.keys, job.value_dim, dv.data + dv.at[head], dv.row);
    }
  });
}

#define FLAMBEAU_ATTENTION(T)                                                             \
  template void attention_forward<T>(const AttentionJob<T>&, const HeadMatrices<T>&, T*); \
  template void attention_backward<T>(                                                    \
      const AttentionJob<T>&, const HeadMatrices<const T>&, const HeadMatrices<const T>&, \
      const T*, const HeadMatrices<T>&, const HeadMatrices<T>&, const HeadMatrices<T>&);
FLAMBEAU_ATTENTION(float)
FLAMBEAU_ATTENTION(double)

} // namespace flambeau
