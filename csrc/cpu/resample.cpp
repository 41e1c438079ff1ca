// Resizing: which dimension goes first, rows kept for their neighbours, and threads.
#include "resample.h"

#include <algorithm>

#include "gemm_kernels.h"
#include "parallel.h"

namespace flambeau {
namespace {

template<class T>
const ResampleRows<T>& kernels() {
  static const ResampleRows<T>* const table = cpu_isa() == 2   ? avx512::resample_rows<T>()
                                              : cpu_isa() == 1 ? avx2::resample_rows<T>()
                                                               : base::resample_rows<T>();
  return *table;
}

// The last dimension: taps in rows of one length each, filled up with weights of 0.
template<class T>
struct Columns {
  int64_t in, out, most = 1;
  bool identity, copies; // copies: one tap of weight 1 each
  std::vector<int32_t> index;
  std::vector<T> weight;

  explicit Columns(const Taps& t) : in(t.in), out(t.out), identity(t.identity()) {
    for (int64_t j = 0; j < out; ++j)
      most = std::max<int64_t>(most, t.begin[size_t(j + 1)] - t.begin[size_t(j)]);
    copies = most == 1;
    index.assign(size_t(out * most), 0);
    weight.assign(size_t(out * most), T(0));
    for (int64_t j = 0; j < out; ++j) {
      const int64_t b = t.begin[size_t(j)], n = t.begin[size_t(j + 1)] - b;
      copies = copies && n == 1 && t.weight[size_t(b)] == 1;
      for (int64_t k = 0; k < most; ++k) {
        index[size_t(k * out + j)] = n ? t.index[size_t(b + std::min(k, n - 1))] : 0;
        if (k < n) weight[size_t(k * out + j)] = T(t.weight[size_t(b + k)]);
      }
    }
  }
  void apply(const T* x, T* y) const {
    if (identity)
      std::copy_n(x, out, y);
    else if (copies)
      for (int64_t j = 0; j < out; ++j) y[j] = x[index[size_t(j)]];
    else
      kernels<T>().pick(out, most, x, index.data(), weight.data(), y);
  }
};

template<class T>
struct Resize {
  const Taps &depth, &height;
  const Columns<T> columns;
  const bool columns_first; // fewer rows come in than go out

  explicit Resize(const Taps* t)
      : depth(t[0]), height(t[1]), columns(t[2]),
        columns_first(t[0].in * t[1].in <= t[0].out * t[1].out) {}
  int64_t rows_in() const { return depth.in * height.in; }
  int64_t rows_out() const { return depth.out * height.out; }

  // The input rows of output row r, and their weights.
  void sources(int64_t r, std::vector<int64_t>& rows, std::vector<T>& weights) const {
    rows.clear();
    weights.clear();
    const size_t d = size_t(r / height.out), h = size_t(r % height.out);
    for (int32_t i = depth.begin[d]; i < depth.begin[d + 1]; ++i)
      for (int32_t j = height.begin[h]; j < height.begin[h + 1]; ++j) {
        rows.push_back(depth.index[size_t(i)] * height.in + height.index[size_t(j)]);
        weights.push_back(T(depth.weight[size_t(i)] * height.weight[size_t(j)]));
      }
  }

  // Rows [begin, end) of a plane.
  void run(const T* x, T* y, int64_t begin, int64_t end) const {
    std::vector<int64_t> rows, before;
    std::vector<T> weights, before_weights;
    std::vector<const T*> at;
    std::vector<T> row(size_t(columns_first ? 0 : columns.in)), kept;
    std::vector<char> ready;
    int64_t first = 0;
    const bool keep = columns_first && !columns.identity;
    if (keep) first = prepare(begin, end, kept, ready);
    for (int64_t r = begin; r < end; ++r) {
      sources(r, rows, weights);
      T* to = y + r * columns.out;
      if (r > begin && rows == before && weights == before_weights) {
        std::copy_n(to - columns.out, columns.out, to);
        continue;
      }
      at.clear();
      for (int64_t i : rows)
        at.push_back(keep ? ready_row(x, i, first, kept, ready) : x + i * columns.in);
      const bool plain = at.size() == 1 && weights[0] == T(1);
      if (at.empty()) {
        std::fill_n(to, columns.out, T(0));
      } else if (columns_first) {
        if (plain)
          std::copy_n(at[0], columns.out, to);
        else
          kernels<T>().blend(columns.out, int64_t(at.size()), at.data(), weights.data(), to);
      } else {
        if (!plain)
          kernels<T>().blend(columns.in, int64_t(at.size()), at.data(), weights.data(), row.data());
        columns.apply(plain ? at[0] : row.data(), to);
      }
      before.swap(rows);
      before_weights.swap(weights);
    }
  }

  // Room for the input rows that [begin, end) need, resized along the columns; the first of them.
  int64_t prepare(int64_t begin, int64_t end, std::vector<T>& kept,
                  std::vector<char>& ready) const {
    std::vector<int64_t> rows;
    std::vector<T> weights;
    int64_t low = rows_in(), high = -1;
    for (int64_t r = begin; r < end; ++r) {
      sources(r, rows, weights);
      for (int64_t i : rows) low = std::min(low, i), high = std::max(high, i);
    }
    const int64_t n = std::max<int64_t>(0, high - low + 1);
    kept.resize(size_t(n * columns.out));
    ready.assign(size_t(n), 0);
    return low;
  }
  const T* ready_row(const T* x, int64_t i, int64_t first, std::vector<T>& kept,
                     std::vector<char>& ready) const {
    T* row = kept.data() + (i - first) * columns.out;
    if (!ready[size_t(i - first)]) columns.apply(x + i * columns.in, row);
    ready[size_t(i - first)] = 1;
    return row;
  }
};

} // namespace

bool Taps::identity() const {
  if (in != out || int64_t(index.size()) != out) return false;
  for (int64_t i = 0; i < out; ++i)
    if (index[size_t(i)] != i || begin[size_t(i)] != i || weight[size_t(i)] != 1) return false;
  return true;
}

Taps Taps::transposed() const {
  Taps t;
  t.in = out, t.out = in;
  t.begin.assign(size_t(in + 1), 0);
  t.index.resize(index.size());
  t.weight.resize(index.size());
  for (int32_t i : index) ++t.begin[size_t(i + 1)];
  for (int64_t i = 0; i < in; ++i) t.begin[size_t(i + 1)] += t.begin[size_t(i)];
  std::vector<int32_t> next(t.begin);
  for (int64_t i = 0; i < out; ++i)
    for (int32_t k = begin[size_t(i)]; k < begin[size_t(i + 1)]; ++k) {
      const size_t to = size_t(next[size_t(index[size_t(k)])]++);
      t.index[to] = int32_t(i);
      t.weight[to] = weight[size_t(k)];
    }
  return t;
}

template<class T>
void resample(int64_t planes, const Taps* taps, const T* x, T* y) {
  const Resize<T> resize(taps);
  if (taps[0].identity() && taps[1].identity()) { // lines: all planes' rows are alike
    const Columns<T>& line = resize.columns;
    const int64_t lines = planes * resize.rows_in();
    parallel_for(lines, 16384 / std::max(line.in, line.out) + 1, [&](int64_t i, int64_t end) {
      for (; i < end; ++i) line.apply(x + i * line.in, y + i * line.out);
    });
    return;
  }
  const int64_t rows = resize.rows_out(), in = resize.rows_in() * resize.columns.in;
  const int64_t width = std::max(resize.columns.in, resize.columns.out);
  const int64_t step = std::clamp<int64_t>(65536 / width, 1, rows);
  const int64_t blocks = (rows + step - 1) / step;
  const int64_t grain = std::max<int64_t>(1, 16384 / (step * width));
  parallel_for(planes * blocks, grain, [&](int64_t i, int64_t end) {
    for (; i < end; ++i) {
      const int64_t p = i / blocks, begin = i % blocks * step;
      resize.run(x + p * in, y + p * rows * resize.columns.out, begin,
                 std::min(rows, begin + step));
    }
  });
}
template void resample<float>(int64_t, const Taps*, const float*, float*);
template void resample<double>(int64_t, const Taps*, const double*, double*);

} // namespace flambeau
