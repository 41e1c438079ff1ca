// The walk of a reduction: which dimensions are rows, which are columns, and where to split.
#include <algorithm>
#include <memory>

#include "../core/elementwise.h"
#include "axes.h"
#include "loops.h"
#include "reduce_tables.h"
#include "widen.h"

namespace flambeau {

const ReduceTable& reduce_table() {
  static const ReduceTable table = [] {
    ReduceTable t{};
    if (cpu_has_avx512())
      reduce_avx512::fill_table(t);
    else if (cpu_has_avx2())
      reduce_avx2::fill_table(t);
    else
      reduce_base::fill_table(t);
    return t;
  }();
  return table;
}
const ReduceKernel& reduce_kernel(Reduce kind, DType in) {
  return reduce_table().k[int(kind)][int(in)];
}

namespace {

constexpr int64_t kGrain = 32768; // elements of a task
constexpr int64_t kChunk = 65536; // elements of one part of a split reduction
constexpr int64_t kBuffer = 2048; // elements converted at a time

// Asks for the start of a run that is read later; from there on the processor foresees the reads.
inline void fetch(const char* run) {
  for (int i = 0; i < 512; i += 64) __builtin_prefetch(run + i);
}

// A position on the axes from `first` on, stepped in order.
struct Walk {
  const AxisList& axes;
  int first;
  SmallVec<int64_t, 6> at;
  int64_t in = 0, out = 0;
  Walk(const AxisList& a, int first, int64_t index)
      : axes(a), first(first), at(a.size(), int64_t(0)) {
    for (int d = first; d < a.size(); ++d) {
      at[d] = index % a[d].size;
      index /= a[d].size;
      in += at[d] * a[d].in;
      out += at[d] * a[d].out;
    }
  }
  void next() {
    for (int d = first; d < axes.size(); ++d) {
      in += axes[d].in;
      out += axes[d].out;
      if (++at[d] < axes[d].size) return;
      in -= axes[d].in * axes[d].size;
      out -= axes[d].out * axes[d].size;
      at[d] = 0;
    }
  }
};

struct Reduction {
  const ReduceKernel& k;
  const char* x;
  char* out;
  DType in_type, out_type;
  double p;
  AxisList kept, red;
  int in_size, k_size;
  bool exact; // elements need no conversion
  CastKernel cast_in, cast_out;
  void (*widen)(const uint16_t*, float*, int64_t); // halves that lie side by side, or null

  // The kernel that takes in rows as they lie, or null.
  decltype(ReduceKernel::rows) rows_as_they_lie() const {
    return exact ? k.rows : in_type == DType::BF16 ? k.rows_bf16 : nullptr;
  }
  void convert(const char* from, int64_t stride, char* to, int64_t n) const {
    if (widen && stride == in_size)
      widen(reinterpret_cast<const uint16_t*>(from), reinterpret_cast<float*>(to), n);
    else
      cast_in(from, stride, to, k_size, n);
  }
  void finish(const char* acc, char* to, int64_t stride, int64_t n) const {
    if (out_type == k.out && (stride == size_of(k.out) || n == 1)) {
      k.finish(acc, to, n, p);
      return;
    }
    alignas(64) char buf[256 * 16];
    for (int64_t b = 0; b < n; b += 256) {
      int64_t m = std::min<int64_t>(256, n - b);
      k.finish(acc + b * k.state, buf, m, p);
      cast_out(buf, size_of(k.out), to + b * stride, stride, m);
    }
  }
  // One state takes in a run of elements.
  void feed(const char* from, int64_t stride, int64_t n, char* acc) const {
    if (auto rows = rows_as_they_lie(); rows && (stride == in_size || n == 1))
      return rows(from, 0, 1, n, acc);
    alignas(64) char buf[kBuffer * 16];
    for (int64_t b = 0; b < n; b += kBuffer) {
      int64_t m = std::min(kBuffer, n - b);
      convert(from + b * stride, stride, buf, m);
      k.rows(buf, 0, 1, m, acc);
    }
  }
  // The elements [b, e) of one output's reduction, in the order of `red`.
  void feed_range(const char* from, int64_t b, int64_t e, char* acc) const {
    int64_t n0 = red[0].size;
    Walk w(red, 1, b / n0);
    for (int64_t i = b % n0; b < e; i = 0, w.next()) {
      int64_t n = std::min(n0 - i, e - b);
      feed(from + w.in + i * red[0].in, red[0].in, n, acc);
      b += n;
    }
  }

  void run_rows() const;
  void rows_split(int64_t outputs, int64_t n) const;
  bool rows_in_order() const;
  void row_batch(const char* from, char* to, const Axis& row, int64_t n) const;
  void run_cols() const;
  void feed_cols(const char* from, int64_t width, int64_t b, int64_t e, int64_t fold,
                 char* acc) const;
};

// A batch of outputs whose rows lie at a fixed distance.
void Reduction::row_batch(const char* from, char* to, const Axis& row, int64_t n) const {
  constexpr int64_t kBatch = 128;
  alignas(64) char acc[kBatch * kReduceState];
  alignas(64) char buf[kBuffer * 16];
  bool single = red.size() == 1, unit = red[0].in == in_size;
  // Short rows that follow one another are converted together.
  auto rows = rows_as_they_lie();
  bool together = n && single && !rows && unit && row.in == n * in_size && n <= kBuffer;
  int64_t batch = together ? std::max<int64_t>(1, std::min(kBatch, kBuffer / n)) : kBatch;
  for (int64_t b = 0; b < row.size; b += batch) {
    int64_t m = std::min(batch, row.size - b);
    const char* src = from + b * row.in;
    k.fill(acc, m);
    if (n == 0) {
    } else if (rows && unit) {
      Walk w(red, 1, 0);
      for (int64_t i = 0; i < n; i += red[0].size) {
        const char* at = src + w.in;
        w.next();
        if (m == 1 && i + red[0].size < n) fetch(src + w.in);
        rows(at, row.in, m, red[0].size, acc);
      }
    } else if (together) {
      convert(src, in_size, buf, m * n);
      k.rows(buf, n * k_size, m, n, acc);
    } else {
      for (int64_t i = 0; i < m; ++i) feed_range(src + i * row.in, 0, n, acc + i * k.state);
    }
    finish(acc, to + b * row.out, row.out, m);
  }
}

// Few outputs of many elements each: parts of fixed size, joined pairwise.
void Reduction::rows_split(int64_t outputs, int64_t n) const {
  int64_t parts = (n + kChunk - 1) / kChunk, s = k.state;
  std::unique_ptr<char[]> acc(new char[size_t(outputs * parts * s)]);
  parallel_for(outputs * parts, 1, [&](int64_t b, int64_t e) {
    for (int64_t i = b; i < e; ++i) {
      Walk w(kept, 0, i / parts);
      int64_t from = i % parts * kChunk;
      alignas(64) char local[kReduceState];
      k.fill(local, 1);
      feed_range(x + w.in, from, std::min(n, from + kChunk), local);
      std::copy_n(local, s, acc.get() + i * s);
    }
  });
  Walk w(kept, 0, 0);
  for (int64_t i = 0; i < outputs; ++i, w.next()) {
    char* a = acc.get() + i * parts * s;
    for (int64_t step = 1; step < parts; step *= 2)
      for (int64_t j = 0; j + step < parts; j += 2 * step)
        k.merge(a + j * s, a + (j + step) * s, 1);
    finish(a, out + w.out, size_of(out_type), 1);
  }
}

// Images, each with a row for each output: they are read as they lie in memory, parts of several
// images each into states of its own.
bool Reduction::rows_in_order() const {
  auto rows = rows_as_they_lie();
  if (!rows || kept.size() != 1 || red.size() != 2 || red[0].in != in_size || red[0].size < 64 ||
      red[1].in < kept[0].in * kept[0].size)
    return false;
  const int64_t outputs = kept[0].size, images = red[1].size, bytes = outputs * k.state;
  const int64_t per = even_grain(images, std::max<int64_t>(1, kChunk / (outputs * red[0].size))),
                parts = (images + per - 1) / per;
  if (parts < 8) return false;
  std::unique_ptr<char[]> acc(new char[size_t(parts * bytes)]);
  parallel_for(parts, 1, [&](int64_t b, int64_t e) {
    for (int64_t i = b; i < e; ++i) {
      char* to = acc.get() + i * bytes;
      k.fill(to, outputs);
      for (int64_t j = i * per; j < std::min(images, i * per + per); ++j)
        rows(x + j * red[1].in, kept[0].in, outputs, red[0].size, to);
    }
  });
  for (int64_t step = 1; step < parts; step *= 2)
    for (int64_t i = 0; i + step < parts; i += 2 * step)
      k.merge(acc.get() + i * bytes, acc.get() + (i + step) * bytes, outputs);
  finish(acc.get(), out, kept[0].out, outputs);
  return true;
}

void Reduction::run_rows() const {
  int64_t outputs = product(kept), n = product(red);
  if (rows_in_order()) return;
  if (n >= 2 * kChunk && outputs < 32) return rows_split(outputs, n);
  Axis row = kept.empty() ? Axis{1, 0, 0} : kept[0];
  int64_t outer = product(kept, kept.empty() ? 0 : 1);
  int64_t per = std::max<int64_t>(1, kGrain / std::max<int64_t>(1, n)); // outputs of a task
  int64_t parts = (row.size + per - 1) / per;
  int64_t grain = std::max<int64_t>(1, per / row.size);
  parallel_for(outer * parts, grain, [&](int64_t b, int64_t e) {
    for (int64_t i = b; i < e; ++i) {
      Walk w(kept, 1, i / parts);
      int64_t from = i % parts * per;
      Axis part{std::min(per, row.size - from), row.in, row.out};
      row_batch(x + w.in + from * row.in, out + w.out + from * row.out, part, n);
    }
  });
}

// Rows [b, e) of `width` columns. With fold > 1, that many rows are seen as one (they follow one
// another), and acc has fold * width columns.
void Reduction::feed_cols(const char* from, int64_t width, int64_t b, int64_t e, int64_t fold,
                          char* acc) const {
  int64_t n0 = red[0].size, row = red[0].in, col = kept[0].in;
  bool direct = exact && (col == in_size || width == 1);
  alignas(64) char buf[kBuffer * 16];
  Walk w(red, 1, b / n0);
  for (int64_t i = b % n0; b < e; i = 0, w.next()) {
    int64_t n = std::min(n0 - i, e - b);
    const char* src = from + w.in + i * row;
    b += n;
    if (direct) {
      if (n >= fold) k.cols(src, row * fold, n / fold, width * fold, acc);
      if (n % fold) k.cols(src + (n - n % fold) * row, 0, 1, n % fold * width, acc);
      continue;
    }
    int64_t some = kBuffer / width;
    for (int64_t r = 0; r < n; r += some) {
      int64_t m = std::min(some, n - r);
      for (int64_t j = 0; j < m; ++j)
        convert(src + (r + j) * row, col, buf + j * width * k_size, width);
      k.cols(buf, width * k_size, m, width, acc);
    }
  }
}

void Reduction::run_cols() const {
  // Columns that are converted first are taken in narrow strips, so that many rows fit the buffer.
  const int64_t C = exact ? kReduceColumns : 128;
  const Axis& c = kept[0];
  int64_t n = product(red), outer = product(kept, 1), strips = (c.size + C - 1) / C;
  int64_t width = std::min(c.size, C), fold = 1;
  if (exact && c.in == in_size && red[0].in == c.size * in_size && c.size <= 64)
    fold = std::min(256 / c.size, std::max<int64_t>(1, red[0].size / 4));
  int64_t parts = 1, length = n;
  if (outer * strips < 16 && n * width >= 2 * kChunk) {
    length = std::max<int64_t>(256, kChunk / width);
    parts = (n + length - 1) / length;
  }
  int64_t items = outer * strips * parts, s = k.state, block = width * s;
  std::unique_ptr<char[]> partial(parts > 1 ? new char[size_t(items * block)] : nullptr);
  int64_t grain = std::max<int64_t>(1, kGrain / std::max<int64_t>(1, width * length));
  parallel_for(items, grain, [&](int64_t b, int64_t e) {
    alignas(64) char acc[kReduceColumns * kReduceState];
    for (int64_t i = b; i < e; ++i) {
      int64_t part = i % parts, strip = i / parts % strips;
      Walk w(kept, 1, i / parts / strips);
      int64_t m = std::min(C, c.size - strip * C), from = part * length;
      k.fill(acc, m * fold);
      feed_cols(x + w.in + strip * C * c.in, m, from, std::min(n, from + length), fold, acc);
      for (int64_t j = 1; j < fold; ++j) k.merge(acc, acc + j * m * s, m);
      if (parts > 1)
        std::copy_n(acc, m * s, partial.get() + i * block);
      else
        finish(acc, out + w.out + strip * C * c.out, c.out, m);
    }
  });
  if (parts == 1) return;
  for (int64_t i = 0; i < outer * strips; ++i) {
    char* a = partial.get() + i * parts * block;
    int64_t strip = i % strips, m = std::min(C, c.size - strip * C);
    for (int64_t step = 1; step < parts; step *= 2)
      for (int64_t j = 0; j + step < parts; j += 2 * step)
        k.merge(a + j * block, a + (j + step) * block, m);
    Walk w(kept, 1, i / strips);
    finish(a, out + w.out + strip * C * c.out, c.out, m);
  }
}

} // namespace

void run_reduce(const ReduceKernel& k, const Tensor& x, uint64_t mask, const Tensor& out,
                double p) {
  if (out.numel() == 0) return;
  bool exact = x.dtype() == k.in;
  if (exact && out.dtype() == k.out && out.numel() == 1 && x.is_contiguous() &&
      x.numel() <= kGrain) { // the short way for small tensors
    alignas(64) char acc[kReduceState];
    k.fill(acc, 1);
    if (x.numel()) k.rows(x.bytes(), 0, 1, x.numel(), acc);
    k.finish(acc, out.bytes(), 1, p);
    return;
  }
  Reduction r{k,
              x.bytes(),
              out.bytes(),
              x.dtype(),
              out.dtype(),
              p,
              {},
              {},
              x.itemsize(),
              size_of(k.in),
              exact,
              cast_kernel(x.dtype(), k.in),
              cast_kernel(k.out, out.dtype()),
              nullptr};
  const Widen& w = cpu_has_avx512() ? reduce_avx512::widen
                   : cpu_has_avx2() ? reduce_avx2::widen
                                    : reduce_base::widen;
  if (k.in == DType::F32 && x.dtype() == DType::BF16) r.widen = w.bf16;
  if (k.in == DType::F32 && x.dtype() == DType::F16) r.widen = w.f16;
  int64_t step = out.itemsize();
  for (int d = x.dim() - 1; d >= 0; --d) {
    int64_t n = x.shape()[d], in = x.strides()[d] * x.itemsize();
    bool reduced = mask >> d & 1;
    if (n != 1) {
      if (reduced)
        r.red.push_back({n, in, 0});
      else
        r.kept.push_back({n, in, step});
    }
    if (!reduced) step *= n;
  }
  tidy(r.kept);
  if (product(r.red) == 0) r.red = {{0, r.in_size, 0}};
  tidy(r.red);
  if (r.red.empty()) r.red.push_back({1, r.in_size, 0});
  bool rows = r.kept.empty() || r.kept[0].in == 0 ||
              (r.red[0].size != 1 && r.red[0].in != 0 && r.red[0].in < r.kept[0].in) ||
              product(r.red) == 0;
  if (rows)
    r.run_rows();
  else
    r.run_cols();
}

} // namespace flambeau
