// Launches the kernels of indexing: operands merged into few dimensions and moved in wide words.
#include "indexing.h"

#include "../autograd/node.h"
#include "../ops/ops.h"
#include "elementwise.h"
#include "fault.h"
#include "launch.h"
#include "walk.h"

namespace flambeau::cuda {

Tensor as_bits(const Tensor& t) {
  int size = t.itemsize();
  DType bits = size == 1   ? DType::U8
               : size == 2 ? DType::U16
               : size == 4 ? DType::U32
               : size == 8 ? DType::U64
                           : DType::C128;
  return alias_bytes(t, bits, t.shape(), t.strides(), t.offset());
}

namespace {

const char* word_name(int size) {
  return size == 1   ? "uint8_t"
         : size == 2 ? "uint16_t"
         : size == 4 ? "unsigned"
         : size == 8 ? "unsigned long long"
                     : "ulonglong2";
}

Dims in_bytes(const Dims& strides, int size) {
  Dims r = strides;
  for (int64_t& s : r) s *= size;
  return r;
}

struct Launch { // of pick or put
  StridedLoop loop;
  int64_t step = 0;
  int word = 0; // bytes moved at once
};

// Rows that both sides hold side by side are moved in words of up to 16 bytes.
Launch plan(const Tensor& near, const Tensor& far, const Reach& r, bool widen) {
  int size = near.itemsize();
  Launch p;
  p.word = size;
  p.step = r.step * size;
  StridedLoop& l = p.loop;
  l.add(nullptr, in_bytes(r.near, size));
  l.add(nullptr, in_bytes(r.far, size));
  l.add(nullptr, in_bytes(r.index, 8));
  l.prepare(r.shape);
  if (!widen || l.shape.empty() || l.strides[0][0] != size || l.strides[1][0] != size ||
      l.strides[2][0] != 0)
    return p;
  int64_t together = int64_t(address(near) | address(far)) | p.step | l.shape[0] * size;
  for (int d = 1; d < l.shape.size(); ++d) together |= l.strides[0][d] | l.strides[1][d];
  while (p.word < 16 && together % (2 * p.word) == 0) p.word *= 2;
  l.shape[0] = l.shape[0] * size / p.word;
  l.strides[0][0] = l.strides[1][0] = p.word;
  l.numel = l.numel * size / p.word;
  return p;
}

std::string definitions(const std::string& type, const StridedLoop& l, bool wrap) {
  std::string d = define("FB_T", type);
  if (l.numel >= int64_t(1) << 32) d += "#define FB_WIDE\n";
  if (wrap) d += "#define FB_WRAP\n";
  return d;
}

// An index into nothing cannot be right, and is seen without waiting.
void check_size(const Reach& r) {
  FB_CHECK_INDEX(r.size > 0, r.op, "(): an index is out of bounds for a dimension of size 0");
}

const char* combine_name(Combine how) {
  static const char* const names[] = {"", "Add", "Mul", "Max", "Min"};
  return names[int(how)];
}

} // namespace

void pick(const Tensor& near, const Tensor& far, const Tensor& index, const Reach& r) {
  if (numel_of(r.shape) == 0) return;
  check_size(r);
  int device = near.device().index;
  Launch p = plan(near, far, r, true);
  Walk w;
  fill_walk(w, p.loop, r.op);
  Kernel& k = kernel(device, "indexing", "pick", definitions(word_name(p.word), p.loop, r.wrap));
  launch(k, device, blocks_for(device, p.loop.numel), {256}, 0, address(near), address(far),
         address(index), p.loop.numel, p.step, r.size, watch(device, r.op), w);
}

bool can_combine(DType t, Combine how) { return how <= Combine::Add || size_of(t) < 16; }

void put(const Tensor& near, const Tensor& far, const Tensor& index, const Reach& r, Combine how) {
  if (numel_of(r.shape) == 0) return;
  if (index.defined()) check_size(r);
  int device = far.device().index;
  bool set = how == Combine::Set;
  Launch p = plan(near, far, r, set);
  Walk w;
  fill_walk(w, p.loop, r.op);
  std::string d = definitions(set ? word_name(p.word) : type_name(far.dtype()), p.loop, r.wrap) +
                  define("FB_INDEXED", int64_t(index.defined()));
  if (!set) d += define("FB_COMBINE", combine_name(how));
  Kernel& k = kernel(device, "indexing", "put", d);
  launch(k, device, blocks_for(device, p.loop.numel), {256}, 0, address(near), address(far),
         index.defined() ? address(index) : Pointer(0), p.loop.numel, p.step, r.size,
         watch(device, r.op), w);
}

void add_offsets(const char* op, const Tensor& sum, const Tensor& index, int64_t size, int64_t step,
                 bool first) {
  if (sum.numel() == 0) return;
  int device = sum.device().index;
  StridedLoop l;
  l.add(nullptr, expanded_bytes(sum, sum.shape()));
  l.add(nullptr, expanded_bytes(index, sum.shape()));
  l.prepare(sum.shape());
  Walk w;
  fill_walk(w, l, op);
  Kernel& k = kernel(device, "indexing", "add_offsets", definitions("char", l, true));
  launch(k, device, blocks_for(device, l.numel), {256}, 0, address(sum), address(index), l.numel,
         step, size, int(first), watch(device, op), w);
}

// Masks ----------------------------------------------------------------------------------------

namespace {

constexpr int64_t kTile = 4096; // as in kernels/compact.cuh

// Sums of the mask's tiles before each tile; behind them that of all.
struct Ranks {
  Tensor mask, before;
  int64_t tiles = 0;
  explicit Ranks(const Tensor& m) : mask(m), tiles(ceil_div(m.numel(), kTile)) {
    int device = m.device().index;
    if (address(m) % 16) mask = clone(m); // flags are read 16 at a time
    before = empty({tiles + 1}, DType::I64, m.device());
    std::string d = define_type("FB_T", DType::U8);
    launch(kernel(device, "compact", "count_flags", d), device, {std::max<int64_t>(tiles, 1)},
           {256}, 0, address(mask), mask.numel(), address(before));
    launch(kernel(device, "compact", "scan_counts", d), device, {1}, {256}, 0, address(before),
           tiles);
  }
};

} // namespace

Tensor positions(const Tensor& mask) {
  NoGrad off;
  if (mask.numel() == 0) return empty({0}, DType::I64, mask.device());
  Ranks ranks(mask);
  int64_t count = item(select(ranks.before, 0, ranks.tiles)).i;
  int device = mask.device().index;
  Tensor out = empty({count}, DType::I64, mask.device());
  if (count)
    launch(kernel(device, "compact", "write_positions", define_type("FB_T", DType::U8)), device,
           {ranks.tiles}, {256}, 0, address(ranks.mask), mask.numel(), address(ranks.before),
           address(out));
  return out;
}

namespace {
struct Sizes { // as in kernels/compact.cuh
  int dims = 0;
  int64_t size[kWalkDims];
};
} // namespace

Tensor unravel(const Tensor& positions, const Dims& shape) {
  NoGrad off;
  int64_t n = positions.numel();
  if (shape.size() == 1) return view(positions, {1, n});
  Tensor out = empty({shape.size(), n}, DType::I64, positions.device());
  if (out.numel() == 0) return out;
  FB_CHECK_AS(NotImplemented, shape.size() <= kWalkDims, "nonzero: more than ", kWalkDims,
              " dimensions are not supported on a GPU");
  Sizes sizes;
  for (int64_t s : shape) sizes.size[sizes.dims++] = s;
  int device = positions.device().index;
  launch(kernel(device, "compact", "unravel", define_type("FB_T", DType::U8)), device,
         blocks_for(device, n), {256}, 0, address(out), address(positions), n, sizes);
  return out;
}

void masked_scatter(const Tensor& out, const Tensor& x, const Tensor& mask, const Tensor& source) {
  if (out.numel() == 0) return;
  NoGrad off;
  Ranks ranks(mask);
  int device = mask.device().index;
  launch(kernel(device, "compact", "masked_scatter", define("FB_T", word_name(out.itemsize()))),
         device, {ranks.tiles}, {256}, 0, address(ranks.mask), mask.numel(), address(ranks.before),
         address(out), address(x), address(source), source.numel(),
         watch(device, "masked_scatter"));
}

// Joining and reversing ------------------------------------------------------------------------

namespace {

constexpr int kParts = 48;
struct Part { // as in kernels/cat.cuh
  Pointer from = 0;
  int64_t to = 0, words = 0;
  uint32_t width = 0, magic = 0, shift = 0;
};
struct Parts {
  Part part[kParts];
};

void launch_cat(const Tensor& out, const Tensors& in, const Dims& at, int64_t row, int64_t inner) {
  int device = out.device().index, size = out.itemsize(), word = size;
  int64_t together = int64_t(address(out)) | row * size;
  int64_t outer = out.numel() / row;
  for (int k = 0; k < at.size(); ++k) {
    const Tensor& t = in[size_t(k)];
    together |= int64_t(address(t)) | at[k] * inner * size | t.numel() / outer * size;
  }
  while (word < 16 && together % (2 * word) == 0) word *= 2;
  Parts parts;
  int64_t most = 0;
  for (int k = 0; k < at.size(); ++k) {
    Part& p = parts.part[k];
    const Tensor& t = in[size_t(k)];
    p.from = address(t);
    p.to = at[k] * inner * size / word;
    p.words = t.numel() * size / word;
    most = std::max(most, p.words);
    StridedLoop one;
    one.shape = {t.numel() / outer * size / word};
    Walk w;
    fill_walk(w, one, "cat");
    p.width = w.size[0];
    p.magic = w.magic[0];
    p.shift = w.shift[0];
  }
  std::string d = define("FB_T", word_name(word));
  if (most >= int64_t(1) << 32) d += "#define FB_WIDE\n";
  Grid grid = blocks_for(device, most);
  grid.y = at.size();
  launch(kernel(device, "cat", "cat", d), device, grid, {256}, 0, address(out), row * size / word,
         parts);
}

} // namespace

void cat(const Tensor& out, const Tensors& in, const Dims& at, int dim) {
  int64_t inner = 1;
  for (int i = dim + 1; i < out.dim(); ++i) inner *= out.shape()[i];
  int64_t row = out.shape()[dim] * inner;
  Tensors some;
  Dims starts;
  for (size_t k = 0; k <= in.size(); ++k) {
    if (some.size() == kParts || (k == in.size() && !some.empty())) {
      launch_cat(out, some, starts, row, inner);
      some.clear();
      starts.clear();
    }
    if (k == in.size() || in[k].numel() == 0) continue;
    some.push_back(in[k]);
    starts.push_back(at[int(k)]);
  }
}

void flip(const Tensor& out, const Tensor& x, const Dims& dims) {
  Reach r{"flip", x.shape(), x.strides(), out.strides(), Dims(x.dim(), 0)};
  int64_t start = out.offset();
  for (int64_t d : dims) {
    start += r.far[int(d)] * (x.shape()[int(d)] - 1);
    r.far[int(d)] = -r.far[int(d)];
  }
  put(x, alias_as(out, out.shape(), out.strides(), start), Tensor(), r, Combine::Set);
}

void triangle(const Tensor& out, const Tensor& x, int64_t diagonal, bool upper) {
  if (x.numel() == 0) return;
  int device = out.device().index;
  int64_t rows = x.size(-2), columns = x.size(-1), all = x.numel() / columns;
  std::string d = define("FB_T", word_name(x.itemsize())) + define("FB_UPPER", int64_t(upper));
  launch(kernel(device, "triangle", "triangle", d), device,
         {ceil_div(columns, 256), std::min<int64_t>(all, 65535)}, {256}, 0, address(out),
         address(x), all, rows, columns, diagonal);
}

} // namespace flambeau::cuda
