// Promotion, broadcasting, allocation and recording for the elementwise families.
#include "elementwise.h"

#include <algorithm>

#include "../cuda/elementwise.h"
#include "../ops/ops.h"

namespace flambeau {

bool cpu_has_avx2() {
  static const bool v = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
  return v;
}
bool cpu_has_avx512() {
  static const bool v = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                        __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
  return v;
}

namespace {

int category(DType t) { return t == DType::Bool ? 0 : is_integral(t) ? 1 : is_float(t) ? 2 : 3; }

// A Python number has no width of its own.
DType weak_type(DType t) {
  return is_complex(t) ? default_complex() : is_float(t) ? default_dtype() : t;
}

struct ElemOp final : OpOf<ElemOp> {
  const ElemRow* row;
  double p[6];
  const char* name() const override { return row->name; }
  Specs infer(const Inputs&) override { return {}; }
  void cpu(const Inputs&, Outputs&) override {}
  void cuda(const Inputs&, Outputs&) override {}
  Saves saves(const Inputs& in) const override {
    uint32_t all = (1u << row->arity) - 1;
    switch (row->keep) {
    case Keep::None: return {};
    case Keep::Out: return {0, 1};
    case Keep::In: return {all, 0};
    case Keep::Both: return {all, 1};
    case Keep::Cross: break;
    }
    uint32_t m = 0;
    for (int i = 0; i < row->arity; ++i)
      for (int j = 0; j < row->arity; ++j)
        if (j != i && in[j].requires_grad()) m |= 1u << i;
    return {m, 0};
  }
  Grads vjp(const Saved& s, const Grads& g) override {
    Grads r(row->arity, Tensor());
    for (int i = 0; i < row->arity; ++i)
      if (s.needs(i) && row->vjp[i]) r[i] = row->vjp[i](s, g[0], p);
    return r;
  }
};

// Whether bfloat16 holds the number.
bool is_bfloat(const Tensor& number) {
  const double v = item(number).f;
  return double(float(bf16(float(v)))) == v;
}

struct Plan {
  DType compute, kernel_out, result;
  Dims shape;
  Device device;
  ElemKernel kernel; // of the host; its absence says that the type is not supported
};

Plan plan_of(const ElemRow& row, const Tensor* in) {
  Plan pl;
  int n = row.arity;
  DType t = in[0].dtype();
  pl.device = in[0].device();
  bool same = !in[0].impl()->weak;
  for (int i = 1; i < n; ++i) {
    same = same && in[i].dtype() == t && !in[i].impl()->weak && in[i].dim() > 0;
    if (in[i].device() == pl.device) continue;
    if (in[i].dim() && in[0].dim())
      fail(ErrorKind::Runtime, row.name,
           ": Expected all tensors to be on the same device, but "
           "found at least two devices, ",
           pl.device, " and ", in[i].device(), "!");
    if (in[i].dim() || !in[i].device().is_cpu()) pl.device = in[i].device();
  }
  // A number beside a tensor that has dimensions and no lower category changes nothing.
  bool number = n == 2 && in[0].dim() && !in[0].impl()->weak && in[1].impl()->weak &&
                category(in[1].dtype()) <= category(t);
  if ((!same || in[0].dim() == 0) && !number) {
    const Tensor* ptr[kMaxOperands];
    for (int i = 0; i < n; ++i) ptr[i] = &in[i];
    t = result_type(ptr, n);
  }
  if ((row.rule == Rule::Float || row.rule == Rule::RealFloat) && is_integral(t))
    t = default_dtype();
  pl.compute = compute_type(t);
  pl.result = row.rule == Rule::Bool                                  ? DType::Bool
              : row.rule == Rule::Real || row.rule == Rule::RealFloat ? real_of(t)
                                                                      : t;
  pl.kernel_out = compute_type(pl.result);
  pl.shape = in[0].shape();
  for (int i = 1; i < n; ++i)
    if (!(in[i].shape() == pl.shape))
      pl.shape = broadcast_shapes(pl.shape, in[i].shape(), row.name);
  // Some rows compute in bfloat16 at once, where no operand holds more.
  if (t == DType::BF16 && (*row.kernels)[int(t)] && pl.device.is_cpu() &&
      (same || (number && is_bfloat(in[1]))))
    pl.compute = pl.kernel_out = t;
  pl.kernel = (*row.kernels)[int(pl.compute)];
  FB_CHECK(pl.kernel, "\"", row.name, "\" not implemented for '", pl.compute, "'");
  return pl;
}

void run_plan(const ElemRow& row, const Plan& pl, const Tensor& out, const Tensor* in,
              const double* p, int np) {
  if (out.device().is_cpu()) {
    double padded[3] = {}; // kernels read them all
    std::copy(p, p + np, padded);
    run_elementwise(pl.kernel, pl.compute, pl.kernel_out, out, in, row.arity, padded);
  } else if (out.is_cuda())
    cuda::run_formula({row.name, row.formula}, pl.compute, pl.kernel_out, out, in, row.arity, p,
                      np);
}

void record_row(const ElemRow& row, const Inputs& in, const Outputs& out, const double* p, int np) {
  ElemOp op;
  op.row = &row;
  std::copy(p, p + np, op.p);
  uint32_t kept = op.saves(in).inputs;
  bool weak = false;
  for (int i = 0; i < in.size(); ++i) weak = weak || ((kept >> i & 1) && in[i].impl()->weak);
  if (!weak) return record(op, in, out);
  // A number that the derivative reads takes the result's type: alone it would have none.
  Inputs typed = in;
  NoGrad off;
  for (Tensor& t : typed)
    if (t.impl()->weak) t = full({}, item(t), out[0].dtype(), out[0].device());
  GradMode on(true);
  record(op, typed, out);
}

bool any_grad(const Tensor* in, int n) {
  if (!grad_enabled()) return false;
  for (int i = 0; i < n; ++i)
    if (in[i].requires_grad()) return true;
  return false;
}

} // namespace

bool category_keeps(DType t, DType number) { return category(number) <= category(t); }

void resize_out(const Tensor& out, const Dims& shape, const char* op) {
  if (out.shape() == shape) return;
  FB_CHECK(!out.storage().readonly, op, ": out= is read-only");
  int64_t n = numel_of(shape), end = (out.offset() + n) * out.itemsize();
  if (size_t(end) > out.storage().nbytes) out.storage().resize(size_t(end));
  set_layout(*out.impl(), shape, contiguous_strides(shape), out.offset());
}

namespace {
// Inputs that share memory with `out` in another arrangement are copied first.
void run_overlap_safe(const ElemRow& row, const Plan& pl, const Tensor& out, const Tensor* in,
                      const double* p, int np) {
  if (out.numel() == 0) return;
  for (int d = 0; d < out.dim(); ++d)
    FB_CHECK(out.strides()[d] != 0 || out.shape()[d] <= 1,
             "unsupported operation: more than one element of the written-to tensor refers to a "
             "single memory location. Please clone() the tensor before performing the operation.");
  Tensor safe[kMaxOperands];
  for (int i = 0; i < row.arity; ++i) {
    bool shares = &in[i].storage() == &out.storage();
    bool same = in[i].offset() == out.offset() && in[i].strides() == out.strides() &&
                in[i].shape() == out.shape() && in[i].dtype() == out.dtype();
    NoGrad off;
    safe[i] = shares && !same ? clone(in[i]) : in[i];
  }
  run_plan(row, pl, out, safe, p, np);
}

// The operand that is about to be overwritten, for the graph: its history, and a copy of its
// values where the derivative reads them.
Tensor before_write(const ElemRow& row, const Tensor& out, const Tensor* in, int i) {
  ElemOp op;
  op.row = &row;
  Tensor t;
  {
    NoGrad off;
    t = op.saves(Inputs(in, in + row.arity)).inputs >> i & 1 ? clone(out) : alias(out);
  }
  Edge e = gradient_edge(out);
  if (e.node) set_history(t, e.node, e.nr);
  return t;
}
} // namespace

DType result_type(const Tensor* const* in, int n) {
  // Tensors with dimensions decide; 0-d ones, then numbers, only by a higher category.
  DType best[3];
  bool have[3] = {};
  for (int i = 0; i < n; ++i) {
    const Tensor& t = *in[i];
    int level = t.impl()->weak ? 2 : t.dim() == 0 ? 1 : 0;
    DType d = level == 2 ? weak_type(t.dtype()) : t.dtype();
    best[level] = have[level] ? promote(best[level], d) : d;
    have[level] = true;
  }
  DType r = DType::Bool;
  bool any = false;
  for (int l = 0; l < 3; ++l) {
    if (!have[l]) continue;
    if (!any) {
      r = best[l];
      any = true;
    } else if (category(best[l]) > category(r)) {
      bool keep_width = is_complex(best[l]) && is_float(r);
      r = keep_width ? promote(complex_of(r == DType::F64 ? DType::F64 : DType::F32), r) : best[l];
    }
  }
  return r;
}

Dims result_strides(const Dims& shape, const Tensor* in, int n) {
  bool plain = true;
  for (int i = 0; i < n; ++i)
    if (!(in[i].is_contiguous() || in[i].numel() == 1)) plain = false;
  int nd = shape.size();
  if (plain || nd < 2) return contiguous_strides(shape);
  Dims st[kMaxOperands], order(nd, 0);
  for (int i = 0; i < n; ++i) st[i] = expanded_bytes(in[i], shape);
  for (int i = 0; i < nd; ++i) order[i] = nd - 1 - i;
  auto compare = [&](int a, int b) { // > 0: a belongs outside b
    for (int i = 0; i < n; ++i) {
      int64_t x = st[i][a], y = st[i][b];
      if (x == 0 || y == 0) continue;
      if (x < y) return -1;
      if (x > y) return 1;
      if (shape[a] > shape[b]) return 1;
    }
    return 0;
  };
  for (int i = 1; i < nd; ++i) {
    int at = i;
    for (int j = i - 1; j >= 0; --j) {
      int c = compare(int(order[j]), int(order[at]));
      if (c > 0) {
        std::swap(order[j], order[at]);
        at = j;
      } else if (c < 0) {
        break;
      }
    }
  }
  Dims r(nd, 1);
  int64_t acc = 1;
  for (int64_t d : order) {
    r[int(d)] = acc;
    acc *= std::max<int64_t>(shape[int(d)], 1);
  }
  return r;
}

Tensor elementwise(const ElemRow& row, const Tensor* in, const double* p, int np) {
  Plan pl = plan_of(row, in);
  bool plain = in[0].is_contiguous();
  for (int i = 1; i < row.arity; ++i) plain = plain && in[i].is_contiguous();
  Tensor out = plain ? empty(pl.shape, pl.result, pl.device)
                     : empty_strided(pl.shape, result_strides(pl.shape, in, row.arity), pl.result,
                                     pl.device);
  run_plan(row, pl, out, in, p, np);
  if (inference_enabled()) out.impl()->inference = true;
  if (is_inexact(pl.result) && any_grad(in, row.arity))
    record_row(row, Inputs(in, in + row.arity), {out}, p, np);
  return out;
}

Tensor elementwise_into(const ElemRow& row, const Tensor* in, const double* p, int np,
                        const Tensor& out, bool inplace) {
  Plan pl = plan_of(row, in);
  FB_CHECK(can_cast(pl.result, out.dtype()), "result type ", pl.result,
           " can't be cast to the desired output type ", out.dtype());
  if (inplace) {
    FB_CHECK(pl.shape == out.shape(), row.name, "_: output with shape ", out.shape(),
             " doesn't match the broadcast shape ", pl.shape);
    check_inplace(out, row.name);
  } else {
    FB_CHECK(!any_grad(in, row.arity) && !(grad_enabled() && out.requires_grad()), row.name,
             "(): functions with out=... arguments don't support automatic differentiation, but "
             "one of the arguments requires grad.");
    resize_out(out, pl.shape, row.name);
  }
  // The gradient's history is that of an ordinary result; it is made before the write so that
  // saved inputs are seen as overwritten.
  Tensor carrier;
  bool grad = inplace && is_inexact(out.dtype()) && any_grad(in, row.arity);
  if (grad) {
    Inputs kept(in, in + row.arity);
    for (int i = 0; i < row.arity; ++i)
      if (kept[i].is(out)) kept[i] = before_write(row, out, in, i);
    carrier = alias(out);
    if (row.keep == Keep::Out || row.keep == Keep::Both) {
      // The output is saved after the write, at the version it will then have.
      run_overlap_safe(row, pl, out, in, p, np);
      out.bump_version();
      record_row(row, kept, {carrier}, p, np);
      record_written(out, carrier);
      return out;
    }
    record_row(row, kept, {carrier}, p, np);
  }
  run_overlap_safe(row, pl, out, in, p, np);
  if (inplace)
    record_inplace(out, carrier);
  else
    out.bump_version();
  return out;
}

} // namespace flambeau
