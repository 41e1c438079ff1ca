// Chooses and launches the kernel of a formula: packed loads for operands side by side in memory,
// else a walk over merged dimensions.
#include "elementwise.h"

#include <cstring>
#include <mutex>
#include <unordered_map>

#include "../cpu/loops.h"
#include "../ops/ops.h"
#include "formula_files.h"
#include "launch.h"
#include "walk.h"

namespace flambeau::cuda {

namespace {

struct alignas(16) Number {
  char bytes[16];
};
struct Operands { // as in kernels/elementwise.cuh
  int64_t n = 0;
  Pointer out = 0;
  Pointer in[3] = {};
  double p[6] = {};
  Number number[3] = {};
};

struct Shape {         // what the kernel's text depends on
  bool packed = false; // else strided
  int pack = 1;        // elements in one load
  int repeat = 1;      // loads in flight
  bool wide = false;   // more than 2^31 elements
  unsigned host = 0;   // inputs that are numbers from the host
  unsigned one = 0;    // inputs of one element
};

std::string formula_text(const Formula& f, DType compute, DType result, const Tensor& out,
                         const Tensor* in, int n_in, const Shape& s) {
  std::string t = define_type("FB_COMPUTE", compute) + "typedef FB_COMPUTE T;\n";
  t += cat_str("typedef ", type_name(result), " R;\ntypedef ", type_name(out.dtype()), " O;\n");
  std::string each;
  for (int k = 0; k < n_in; ++k) {
    bool host = s.host >> k & 1, one = s.one >> k & 1;
    each += cat_str(" M(", k, ")");
    DType stored = host ? compute : in[k].dtype();
    t += cat_str("typedef ", type_name(stored), " I", k, ";\n");
    t += cat_str("#define LOAD", k, "(v) ", host ? cat_str("number", k) : "convert<T>(v)", "\n");
    t += cat_str("#define ONE", k, " ", one || host ? 1 : 0, "\n");
    // A single element is loaded by itself; a number from the host not at all.
    t += cat_str("#define FETCH", k, "(pack, from, at) ",
                 host  ? ""
                 : one ? "for (int e = 0; e < FB_PACK; ++e) pack.v[e] = from[0];"
                       : cat_str("pack = *(const Pack<I", k, ", FB_PACK>*)(from + at);"),
                 "\n");
  }
  t += "#define FB_EACH(M)" + each + "\n";
  static const char* const parameters[] = {"", "T x,", "T a, T b,", "T a, T b, T c,"};
  static const char* const arguments[] = {"", "v0,", "v0, v1,", "v0, v1, v2,"};
  t += define("FB_PARAMETERS", parameters[n_in]) + define("FB_ARGUMENTS", arguments[n_in]);
  t += std::string("#define FB_VALUE ") + f.text + "\n";
  if (s.packed)
    t += define("FB_PACK", int64_t(s.pack)) + define("FB_REPEAT", int64_t(s.repeat));
  else
    t += s.wide ? "#define FB_WIDE\n#define FB_INDEX i64\n" : "#define FB_INDEX unsigned\n";
  return t;
}

struct Key {
  const char* text;
  uint64_t bits;
  bool operator==(const Key&) const = default;
};
struct KeyHash {
  size_t operator()(const Key& k) const {
    return (reinterpret_cast<size_t>(k.text) * 0x9e3779b97f4a7c15ull) ^
           (k.bits * 0xd6e8feb86659fd93ull);
  }
};
std::mutex mutex;
std::unordered_map<Key, Kernel*, KeyHash> kernels;

uint64_t bits_of(int device, DType compute, DType result, const Tensor& out, const Tensor* in,
                 int n_in, const Shape& s) {
  uint64_t b = uint64_t(device);
  auto add = [&](uint64_t v, int width) { b = b << width | v; };
  add(uint64_t(compute), 4);
  add(uint64_t(result), 4);
  add(uint64_t(out.dtype()), 4);
  for (int k = 0; k < 3; ++k) add(k < n_in ? uint64_t(in[k].dtype()) : 15, 4);
  add(s.packed, 1);
  add(uint64_t(s.pack), 5);
  add(uint64_t(s.repeat), 3);
  add(s.wide, 1);
  add(s.host, 3);
  add(s.one, 3);
  add(uint64_t(n_in), 2);
  return b;
}

Kernel& kernel_for(const Formula& f, int device, DType compute, DType result, const Tensor& out,
                   const Tensor* in, int n_in, const Shape& s) {
  Key key{f.text, bits_of(device, compute, result, out, in, n_in, s)};
  {
    std::lock_guard lock(mutex);
    auto it = kernels.find(key);
    if (it != kernels.end()) return *it->second;
  }
  std::vector<const char*> needs = files_for(f.text, is_complex(compute));
  needs.push_back("walk.cuh");
  Kernel& k =
      kernel_of_text(device, f.name, "elementwise",
                     formula_text(f, compute, result, out, in, n_in, s), needs, "elementwise.cuh");
  std::lock_guard lock(mutex);
  kernels.emplace(key, &k);
  return k;
}

// Whether operands can be read in packs, and in packs of how many elements.
Shape choose(const Tensor& out, const Tensor* in, int n_in) {
  Shape s;
  s.packed = out.is_contiguous();
  int widest = out.itemsize();
  uint64_t together = address(out);
  for (int k = 0; k < n_in; ++k) {
    if (in[k].device().is_cpu()) {
      s.host |= 1u << k;
    } else if (in[k].numel() == 1) {
      s.one |= 1u << k;
    } else {
      s.packed = s.packed && in[k].is_contiguous() && in[k].shape() == out.shape();
      widest = std::max(widest, in[k].itemsize());
      together |= address(in[k]);
    }
  }
  if (!s.packed) {
    s.one = 0; // their strides are zero
    s.wide = out.numel() > INT32_MAX;
    return s;
  }
  s.pack = 16 / widest;
  while (s.pack > 1 && together % uint64_t(s.pack * widest)) s.pack /= 2;
  s.repeat = out.numel() >= int64_t(1) << 20 ? 2 : 1;
  return s;
}

} // namespace

void fill_walk(Walk& w, const StridedLoop& l, const char* name) {
  FB_CHECK_AS(NotImplemented, l.shape.size() <= kWalkDims, name, ": operands of more than ",
              kWalkDims, " separate dimensions are not supported on a GPU");
  w.dims = l.shape.size();
  for (int d = 0; d < w.dims; ++d) {
    FB_CHECK(l.shape[d] <= UINT32_MAX, name, ": a dimension of ", l.shape[d], " is too long");
    w.size[d] = uint32_t(l.shape[d]);
    set_division(w.size[d], w.magic[d], w.shift[d]);
    for (int k = 0; k < l.ops; ++k) w.stride[k][d] = l.strides[k][d];
  }
}

void run_formula(const Formula& f, DType compute, DType result, const Tensor& out, const Tensor* in,
                 int n_in, const double* p, int np) {
  if (out.numel() == 0) return;
  int device = out.device().index;
  Shape s = choose(out, in, n_in);
  Operands g;
  g.n = out.numel();
  g.out = address(out);
  std::copy(p, p + np, g.p);
  for (int k = 0; k < n_in; ++k) {
    if (s.host >> k & 1)
      cast_kernel(in[k].dtype(), compute)(in[k].bytes(), 0, g.number[k].bytes, 16, 1);
    else
      g.in[k] = address(in[k]);
  }
  Kernel& k = kernel_for(f, device, compute, result, out, in, n_in, s);
  if (s.packed)
    return launch(k, device, {ceil_div(g.n, int64_t(256) * s.pack * s.repeat)}, {256}, 0, g);
  StridedLoop l;
  l.add(reinterpret_cast<char*>(g.out), expanded_bytes(out, out.shape()));
  for (int i = 0; i < n_in; ++i)
    l.add(reinterpret_cast<char*>(g.in[i]),
          s.host >> i & 1 ? Dims(out.dim(), 0) : expanded_bytes(in[i], out.shape()));
  l.prepare(out.shape());
  Walk w;
  fill_walk(w, l, f.name);
  launch(k, device, blocks_for(device, g.n), {256}, 0, g, w);
}

} // namespace flambeau::cuda
