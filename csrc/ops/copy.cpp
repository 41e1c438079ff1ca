// Copies and conversions: contiguous, clone, to, copy_; the accumulation of leaf gradients.
#include "../core/elementwise.h"
#include "../core/registry.h"
#include "../cpu/copy_bytes.h"
#include "../cpu/stream.h"
#include "../cpu/transpose.h"
#include "../cuda/elementwise.h"
#include "ops.h"

namespace flambeau {

Dims result_strides_of(const Tensor& t) { return result_strides(t.shape(), &t, 1); }

namespace {

// Where source and target are dense along different dimensions, planes of the two are copied in
// tiles, so that both sides use whole cache lines.
bool copy_planes(const StridedLoop& l, int size) {
  if (l.shape.size() < 2 || l.strides[0][0] != size || l.strides[1][0] == 0) return false;
  int d = dense_dimension(l, 1, size);
  if (d < 1 || l.shape[d] < 2) return false;
  dispatch_size(size, [&](auto tag) {
    using T = typename decltype(tag)::type;
    l.run_strips(d, 64, 65536, [&](char* const* p, int64_t rows) {
      transpose_tiles(reinterpret_cast<T*>(p[0]), l.strides[0][d], reinterpret_cast<const T*>(p[1]),
                      l.strides[1][0], l.shape[0], rows);
    });
  });
  return true;
}

} // namespace

void copy_values(const Tensor& dst, const Tensor& src, bool non_blocking) {
  if (dst.numel() == 0 || dst.is_meta()) return;
  FB_CHECK(!src.is_meta(), "Cannot copy out of meta tensor; no data!");
  if (dst.is_cuda() || src.is_cuda()) return cuda::copy(dst, src, non_blocking);
  if (dst.dtype() == src.dtype() && dst.is_contiguous() && src.is_contiguous() &&
      dst.shape() == src.shape()) {
    int64_t bytes = dst.numel() * dst.itemsize();
    if (bytes <= 262144) {
      copy_bytes(dst.bytes(), src.bytes(), bytes);
      return;
    }
  }
  StridedLoop l;
  l.add(dst.bytes(), expanded_bytes(dst, dst.shape()));
  l.add(const_cast<char*>(src.bytes()), expanded_bytes(src, dst.shape()));
  l.prepare(dst.shape());
  if (dst.dtype() == src.dtype() && copy_planes(l, dst.itemsize())) return;
  CastKernel cast = cast_kernel(src.dtype(), dst.dtype());
  int64_t ds = l.shape.empty() ? 0 : l.strides[0][0], ss = l.shape.empty() ? 0 : l.strides[1][0];
  bool dense = dst.dtype() == src.dtype() && ds == dst.itemsize(), plain = dense && ss == ds;
  if (dense && ss == 0)
    return dispatch_size(dst.itemsize(), [&](auto tag) {
      using T = typename decltype(tag)::type;
      l.run(65536, [&](char* const* p, int64_t n) {
        std::fill_n(reinterpret_cast<T*>(p[0]), n, *reinterpret_cast<const T*>(p[1]));
      });
    });
  if (plain && l.shape.size() > 1 && l.inner() <= 128) { // short rows: many at a time
    const int64_t n = l.inner() * ds, to = l.strides[0][1], from = l.strides[1][1];
    return l.run_strips(1, 256, 65536, [&](char* const* p, int64_t rows) {
      for (int64_t r = 0; r < rows; ++r) copy_bytes(p[0] + r * to, p[1] + r * from, n);
    });
  }
  bool streamed = ds == dst.itemsize() && l.inner() >= kStreamBlock &&
                  dst.numel() * (dst.itemsize() + src.itemsize()) > cache_bytes();
  l.run(65536, [&](char* const* p, int64_t n) {
    if (plain && streamed) return stream_bytes(p[0], p[1], n * ds);
    if (plain) return copy_bytes(p[0], p[1], n * ds);
    if (!streamed) return cast(p[1], ss, p[0], ds, n);
    alignas(64) char block[kStreamBlock * 16];
    for (int64_t i = 0; i < n; i += kStreamBlock) {
      const int64_t m = std::min<int64_t>(kStreamBlock, n - i);
      cast(p[1] + i * ss, ss, block, ds, m);
      stream_bytes(p[0] + i * ds, block, m * ds);
    }
  });
}

namespace {

// The same values at other strides or in another dtype; the identity to autograd.
struct Copy final : OpOf<Copy> {
  Dims strides;
  DType dtype;
  const char* label;
  Copy(const Dims& strides, DType dtype, const char* label)
      : strides(strides), dtype(dtype), label(label) {}
  const char* name() const override { return label; }
  Specs infer(const Inputs& in) override { return {{in[0].shape(), dtype, strides}}; }
  void cpu(const Inputs& in, Outputs& out) override { copy_values(out[0], in[0]); }
  void cuda(const Inputs& in, Outputs& out) override { cuda::copy(out[0], in[0]); }
  Grads vjp(const Saved&, const Grads& g) override { return {g[0]}; }
};

// The same values on another device; the gradient goes back to the first.
struct Move final : OpOf<Move> {
  Device from;
  DType dtype;
  explicit Move(const Tensor& t) : from(t.device()), dtype(t.dtype()) {}
  const char* name() const override { return "to_copy"; }
  Specs infer(const Inputs&) override { return {}; }
  void cpu(const Inputs&, Outputs&) override {}
  void cuda(const Inputs&, Outputs&) override {}
  Grads vjp(const Saved&, const Grads& g) override {
    return {
        move_to(g[0], from, is_complex(g[0].dtype()) && !is_complex(dtype) ? g[0].dtype() : dtype)};
  }
};

// dst.copy_(src) as a function of src: dst's old value does not matter.
struct CopyInto final : OpOf<CopyInto> {
  Device from;
  explicit CopyInto(Device from) : from(from) {}
  const char* name() const override { return "copy_"; }
  Specs infer(const Inputs&) override { return {}; }
  void cpu(const Inputs&, Outputs&) override {}
  void cuda(const Inputs&, Outputs&) override {}
  Grads vjp(const Saved&, const Grads& g) override {
    return {g[0].device() == from ? g[0] : move_to(g[0], from, g[0].dtype())};
  }
};

Dims kept_strides(const Tensor& t) {
  return t.is_contiguous() || is_dense(t.shape(), t.strides()) ? t.strides() : result_strides_of(t);
}

} // namespace

Tensor clone(const Tensor& t) { return apply(Copy(kept_strides(t), t.dtype(), "clone"), {t}); }
Tensor contiguous(const Tensor& t) {
  if (t.is_contiguous()) return t;
  return apply(Copy(contiguous_strides(t.shape()), t.dtype(), "clone"), {t});
}
Tensor restride(const Tensor& t, const Dims& strides) {
  return t.strides() == strides ? t : apply(Copy(strides, t.dtype(), "clone"), {t});
}
Tensor to_dtype(const Tensor& t, DType dtype) {
  return t.dtype() == dtype ? t : apply(Copy(kept_strides(t), dtype, "to_copy"), {t});
}

Tensor move_to(const Tensor& t, Device device, DType dtype, bool non_blocking) {
  Tensor out = empty_strided(t.shape(), kept_strides(t), dtype, device);
  copy_values(out, t, non_blocking);
  if (inference_enabled()) out.impl()->inference = true;
  if (is_inexact(dtype) && wants_grad({t})) {
    Move op(t);
    record(op, {t}, {out});
  }
  return out;
}

Tensor on_host(const Tensor& t) {
  NoGrad off;
  return t.is_cuda() ? move_to(t, {}, t.dtype()) : t;
}

Tensor copy_(const Tensor& dst, const Tensor& src, bool non_blocking) {
  check_inplace(dst, "copy_");
  FB_CHECK(broadcast_shapes(dst.shape(), src.shape(), "copy_") == dst.shape(),
           "copy_: output with shape ", dst.shape(),
           " doesn't match the broadcast shape of the "
           "source ",
           src.shape());
  Tensor from = src, carrier;
  bool shares = &dst.storage() == &src.storage();
  bool in_place = shares && dst.offset() == src.offset() && dst.strides() == src.strides();
  if (shares && !in_place) {
    NoGrad off;
    from = clone(src);
  }
  if (wants_grad({src}) && is_inexact(dst.dtype())) {
    carrier = alias(dst);
    CopyInto op(src.device());
    record(op, {src}, {carrier});
  } else if (grad_enabled() && dst.requires_grad()) {
    carrier = alias(dst); // a constant from here on
  }
  if (!(in_place && dst.shape() == src.shape() && dst.dtype() == src.dtype()))
    copy_values(dst, from, non_blocking);
  record_inplace(dst, carrier);
  return dst;
}

void accumulate_grad(const Tensor& leaf, const Tensor& grad) {
  AutogradMeta& m = leaf.make_meta();
  if (!m.grad.defined()) {
    bool ours = !grad.impl()->pyobj && !grad_enabled() && grad.impl()->refs() == 1 &&
                grad.storage().refs() == 1 && grad.strides() == leaf.strides();
    if (ours)
      m.grad = grad;
    else if (grad_enabled())
      m.grad = clone(grad);
    else
      m.grad = is_dense(leaf.shape(), leaf.strides()) ? alias(restride_copy(grad, leaf.strides()))
                                                      : clone(grad);
    return;
  }
  if (grad_enabled()) {
    m.grad = add(m.grad, grad);
    return;
  }
  NoGrad off;
  add_inplace(m.grad, grad);
}

Tensor restride_copy(const Tensor& t, const Dims& strides) {
  return apply(Copy(strides, t.dtype(), "clone"), {t});
}

namespace {

Dims strides_for(const Tensor& t, const std::string& format) {
  if (format == "preserve_format") return kept_strides(t);
  if (format == "contiguous_format") return contiguous_strides(t.shape());
  int n = t.dim();
  FB_CHECK((format == "channels_last" && n == 4) || (format == "channels_last_3d" && n == 5),
           "required rank ", format == "channels_last" ? 4 : 5, " tensor to use ", format,
           " format, but the tensor has shape ", t.shape());
  Dims s(n, 1);
  int64_t acc = t.shape()[1];
  for (int i = n - 1; i >= 2; --i) {
    s[i] = acc;
    acc *= t.shape()[i];
  }
  s[0] = acc;
  return s;
}

Tensor moved(const Tensor& t, DType dtype, Device device, bool copy, const std::string& format,
             bool non_blocking = false) {
  device = usable(device);
  if (device == t.device() || (device.is_cpu() && t.device().is_cpu())) {
    Dims want = format == "preserve_format" ? t.strides() : strides_for(t, format);
    if (!copy && dtype == t.dtype() && want == t.strides()) return t;
    if (format == "preserve_format") want = kept_strides(t);
    return apply(Copy(want, dtype, dtype == t.dtype() ? "clone" : "to_copy"), {t});
  }
  if (!device.is_meta() && !t.is_meta()) {
    Tensor r = move_to(t, device, dtype, non_blocking);
    return format == "preserve_format" ? r : restride(r, strides_for(r, format));
  }
  FB_CHECK(device.is_meta(),
           "Cannot copy out of meta tensor; no data! Use Module.to_empty() "
           "instead of Module.to() when moving a module from meta to a different device.");
  return empty_strided(t.shape(), kept_strides(t), dtype, device);
}

Value to(Args& a, int dtype_at, int device_at, int rest) {
  Tensor t = a.tensor(0);
  DType d = dtype_at >= 0 && a.given(dtype_at) ? a.list[dtype_at].dtype : t.dtype();
  Device dev = device_at >= 0 && a.given(device_at) ? a.device(device_at) : t.device();
  return moved(t, d, dev, a.flag(rest + 1),
               a.given(rest + 2) ? a.text(rest + 2) : "preserve_format", a.flag(rest));
}
#define FB_TO "bool non_blocking=False, bool copy=False, *, str? memory_format=None"

Value cast_to(Args& a, DType d) {
  return moved(a.tensor(0), d, a.tensor(0).device(), false, "preserve_format");
}
#define FB_CAST(name, D)                                             \
  {name "(Tensor self, str? memory_format=None) -> Tensor", kMethod, \
   [](Args& a) { return cast_to(a, DType::D); }, "self as " name " values."}

Register copies({
    {"clone(Tensor input, *, str? memory_format=None) -> Tensor", kFM,
     [](Args& a) -> Value {
       Tensor t = a.tensor(0);
       return moved(t, t.dtype(), t.device(), true, a.given(1) ? a.text(1) : "preserve_format");
     },
     "A copy; gradients flow through it."},
    {"contiguous(Tensor self, str? memory_format=None) -> Tensor", kMethod,
     [](Args& a) -> Value {
       Tensor t = a.tensor(0);
       if (!a.given(1) || a.text(1) == "contiguous_format") return contiguous(t);
       FB_CHECK(a.text(1) != "preserve_format", "preserve memory format is unsupported by the "
                                                "contiguous operator");
       return restride(t, strides_for(t, a.text(1)));
     },
     "self in row-major memory: itself when it already is, else a copy."},
    {"to(Tensor self, device device, dtype? dtype=None, " FB_TO ") -> Tensor", kMethod,
     [](Args& a) { return to(a, 2, 1, 3); }, "self on a device and/or in a dtype."},
    {"to(Tensor self, dtype dtype, " FB_TO ") -> Tensor", kMethod,
     [](Args& a) { return to(a, 1, -1, 2); }, "self in a dtype."},
    {"to(Tensor self, Tensor other, " FB_TO ") -> Tensor", kMethod,
     [](Args& a) -> Value {
       Tensor o = a.tensor(1);
       return moved(a.tensor(0), o.dtype(), o.device(), a.flag(3), "preserve_format", a.flag(2));
     },
     "self with the dtype and device of other."},
    {"to(Tensor self, *, device? device=None, dtype? dtype=None, bool non_blocking=False, "
     "bool copy=False, str? memory_format=None) -> Tensor",
     kMethod, [](Args& a) { return to(a, 2, 1, 3); }, "self on a device and/or in a dtype."},
    {"type_as(Tensor self, Tensor other) -> Tensor", kMethod,
     [](Args& a) { return cast_to(a, a.tensor(1).dtype()); }, "self in other's dtype."},
    {"copy_(Tensor self, Operand src, bool non_blocking=False) -> Tensor", kMethod,
     [](Args& a) -> Value { return copy_(a.tensor(0), a.tensor(1), a.flag(2)); },
     "Copies src, broadcast and cast, into self."},
    FB_CAST("float", F32),
    FB_CAST("double", F64),
    FB_CAST("half", F16),
    FB_CAST("bfloat16", BF16),
    FB_CAST("long", I64),
    FB_CAST("int", I32),
    FB_CAST("short", I16),
    FB_CAST("char", I8),
    FB_CAST("byte", U8),
    FB_CAST("bool", Bool),
    FB_CAST("cfloat", C64),
    FB_CAST("cdouble", C128),
});

} // namespace
} // namespace flambeau
