// embedding_bag's sums: rows of a table added up, bag by bag, without a copy of each.
#include <vector>

#include "../core/op.h"
#include "../core/registry.h"
#include "../cpu/parallel.h"
#include "ops.h"

namespace flambeau {
namespace {

// Inputs: table (n, dim), indices, offsets (bag b has the indices [offsets[b], offsets[b + 1])),
// and perhaps a factor for each index.
struct EmbeddingBag final : OpOf<EmbeddingBag> {
  bool mean;
  const char* name() const override { return "embedding_bag"; }
  Specs infer(const Inputs& in) override {
    return {{{in[2].size(0), in[0].size(1)}, in[0].dtype()}};
  }
  static std::vector<int64_t> starts_of(const Tensor& offsets, int64_t count) {
    const int64_t* o = offsets.data<int64_t>();
    std::vector<int64_t> starts(o, o + offsets.numel());
    starts.push_back(count);
    for (size_t b = 0; b + 1 < starts.size(); ++b)
      FB_CHECK(starts[b] >= 0 && starts[b] <= starts[b + 1],
               "embedding_bag: offsets must not "
               "decrease, nor exceed the ",
               count, " indices: got ", starts[b], " at ", b);
    return starts;
  }
  void cpu(const Inputs& in, Outputs& out) override {
    NoGrad off;
    const DType c = compute_type(in[0].dtype());
    Tensor table = contiguous(to_dtype(in[0], c)), index = contiguous(in[1]), factors;
    if (in[3].defined()) factors = contiguous(to_dtype(in[3], c));
    Tensor y = c == in[0].dtype() ? out[0] : empty(out[0].shape(), c);
    const std::vector<int64_t> starts = starts_of(contiguous(in[2]), index.numel());
    const int64_t rows = table.size(0), dim = table.size(1), bags = out[0].size(0);
    const int64_t* at = index.data<int64_t>();
    for (int64_t i = 0; i < index.numel(); ++i)
      FB_CHECK_INDEX(at[i] >= 0 && at[i] < rows, "embedding_bag: index out of range: ", at[i],
                     " for a table of ", rows, " rows");
    dispatch_float(c, name(), [&](auto tag) {
      using T = typename decltype(tag)::type;
      const T *from = table.data<T>(), *by = factors.defined() ? factors.data<T>() : nullptr;
      T* to = y.data<T>();
      const int64_t work = dim * (index.numel() / std::max<int64_t>(bags, 1) + 1);
      parallel_for(bags, 32768 / (work + 1) + 1, [&](int64_t b, int64_t end) {
        for (; b < end; ++b) {
          T* __restrict sum = to + b * dim;
          std::fill_n(sum, dim, T(0));
          for (int64_t i = starts[size_t(b)]; i < starts[size_t(b + 1)]; ++i) {
            const T* row = from + at[i] * dim;
            const T f = by ? by[i] : T(1);
            for (int64_t j = 0; j < dim; ++j) sum[j] += f * row[j];
          }
          const int64_t count = starts[size_t(b + 1)] - starts[size_t(b)];
          if (mean && count > 1)
            for (int64_t j = 0; j < dim; ++j) sum[j] /= T(count);
        }
      });
    });
    if (!y.is(out[0])) copy_values(out[0], y);
  }
  void cuda(const Inputs& in, Outputs& out) override { host_round_trip(*this, in, out); }
  Saves saves(const Inputs& in) const override { return {in[3].defined() ? 15u : 7u, 0}; }
  Grads vjp(const Saved& s, const Grads& g) override {
    Tensor table = s.input(0), index = s.input(1), offsets = contiguous(s.input(2));
    Tensor bag = empty(index.shape(), DType::I64), share = empty(index.shape(), DType::F64);
    const std::vector<int64_t> starts = starts_of(offsets, index.numel());
    for (size_t b = 0; b + 1 < starts.size(); ++b)
      for (int64_t i = starts[b]; i < starts[b + 1]; ++i) {
        bag.data<int64_t>()[i] = int64_t(b);
        share.data<double>()[i] = mean ? 1.0 / double(starts[b + 1] - starts[b]) : 1.0;
      }
    Tensor rows = index_select(g[0], 0, bag);
    if (mean) rows = rows * unsqueeze(to_dtype(share, rows.dtype()), 1);
    Grads r(4, Tensor());
    const bool scaled = s.node.saved_inputs & 8;
    if (scaled && s.needs(3)) r[3] = sum(rows * index_select(table, 0, index), {1});
    if (scaled) rows = rows * unsqueeze(s.input(3), 1);
    if (s.needs(0)) r[0] = index_add(zeros(table.shape(), rows.dtype()), 0, index, rows);
    return r;
  }
};

Value call(Args& a) {
  EmbeddingBag op;
  op.mean = a.flag(4);
  return apply(std::move(op), {a.tensor(0), a.tensor(1), a.tensor(2), a.tensor(3)});
}

Register rows({
    {"_embedding_bag(Tensor weight, Tensor index, Tensor offsets, Tensor? factors, bool mean) -> "
     "Tensor",
     kFunction, call, "Sums (or means) of the rows of `weight` at the indices of each bag."},
});

} // namespace
} // namespace flambeau
