// x[...] and x[...] = v: NumPy's and PyTorch's indexing, basic parts as views.
#include "../autograd/node.h"
#include "../core/elementwise.h"
#include "../core/op.h"
#include "../ops/index.h"
#include "py.h"

namespace flambeau::py {
namespace {

bool is_mask(const Tensor& t) { return t.dtype() == DType::Bool || t.dtype() == DType::U8; }

// How many dimensions an item consumes.
int consumes(PyObject* o) {
  if (o == Py_None || o == Py_Ellipsis || PyBool_Check(o)) return 0;
  if (is_tensor(o) && is_mask(tensor_of(o))) return impl_of(o)->shape.size();
  return 1;
}

// Lists, ranges and arrays as index tensors.
Obj as_index(PyObject* o) {
  if (is_tensor(o)) return Obj::borrow(o);
  Tensor t = tensor_from_data(o, {}, {}, true);
  if (t.numel() == 0 && !is_integral(t.dtype())) t = empty(t.shape(), DType::I64);
  return Obj(wrap(t));
}

struct Indexed {
  Tensor view;      // after the basic part
  Tensors advanced; // one per dimension of view; undefined where none
  bool has_advanced = false;
};

Tensor reversed_slice(const Tensor& t, int dim, PyObject* s) {
  Py_ssize_t start, stop, step;
  check(PySlice_Unpack(s, &start, &stop, &step));
  Py_ssize_t n = PySlice_AdjustIndices(t.shape()[dim], &start, &stop, step);
  Tensor forward =
      n == 0 ? slice(t, dim, 0, 0, 1) : slice(t, dim, start + (n - 1) * step, start + 1, -step);
  return flip(forward, {dim});
}

Tensor sliced(const Tensor& t, int dim, PyObject* s) {
  auto* sl = reinterpret_cast<PySliceObject*>(s);
  if (sl->start == Py_None && sl->stop == Py_None && sl->step == Py_None) return t;
  Py_ssize_t start, stop, step;
  Obj plain;
  // 0-d tensors may stand for the bounds.
  if (is_tensor(sl->start) || is_tensor(sl->stop) || is_tensor(sl->step)) {
    auto number = [](PyObject* o) {
      return is_tensor(o) ? wrap(item(tensor_of(o))) : Obj::borrow(o).release();
    };
    Obj a(number(sl->start)), b(number(sl->stop)), c(number(sl->step));
    plain = Obj(check(PySlice_New(a.get(), b.get(), c.get())));
    s = plain.get();
  }
  check(PySlice_Unpack(s, &start, &stop, &step));
  if (step < 0) return reversed_slice(t, dim, s);
  PySlice_AdjustIndices(t.shape()[dim], &start, &stop, step);
  return slice(t, dim, start, stop, step);
}

// A view's place in memory while the items of an index are applied to it one by one.
struct Layout {
  Dims shape, strides;
  int64_t offset = 0;
};

// Whether `o` is a slice with plain bounds.
bool plain_slice(PyObject* o) {
  if (!PySlice_Check(o)) return false;
  auto* s = reinterpret_cast<PySliceObject*>(o);
  for (PyObject* b : {s->start, s->stop, s->step})
    if (b != Py_None && !PyLong_CheckExact(b)) return false;
  return true;
}

// The short way of integers, slices forward, None and one ellipsis: false for anything else, and
// for an index that is wrong, which the long way explains.
bool basic_layout(const Tensor& self, PyObject* index, Layout& to) {
  bool many = PyTuple_CheckExact(index);
  PyObject* const* items = many ? reinterpret_cast<PyTupleObject*>(index)->ob_item : &index;
  Py_ssize_t n = many ? PyTuple_GET_SIZE(index) : 1;
  int used = 0, dots = 0, nd = self.dim();
  for (Py_ssize_t i = 0; i < n; ++i) {
    PyObject* o = items[i];
    if (PyLong_CheckExact(o) || plain_slice(o))
      ++used;
    else if (o == Py_Ellipsis)
      ++dots;
    else if (o != Py_None)
      return false;
  }
  if (used > nd || dots > 1) return false;
  const Dims &shape = self.shape(), &strides = self.strides();
  to.offset = self.offset();
  int d = 0;
  auto keep = [&](int upto) {
    for (; d < upto; ++d) {
      to.shape.push_back(shape[d]);
      to.strides.push_back(strides[d]);
    }
  };
  for (Py_ssize_t i = 0; i < n; ++i) {
    PyObject* o = items[i];
    if (PyLong_CheckExact(o)) {
      int overflow;
      int64_t v = PyLong_AsLongLongAndOverflow(o, &overflow), size = shape[d];
      if (overflow || v < -size || v >= size) return false;
      to.offset += (v < 0 ? v + size : v) * strides[d++];
    } else if (o == Py_Ellipsis) {
      keep(d + nd - used);
    } else if (o == Py_None) {
      to.shape.push_back(1);
      to.strides.push_back(d < nd ? shape[d] * strides[d] : 1);
    } else {
      Py_ssize_t start, stop, step;
      if (PySlice_Unpack(o, &start, &stop, &step) < 0) fail_set();
      if (step < 0) return false;
      to.shape.push_back(PySlice_AdjustIndices(shape[d], &start, &stop, step));
      to.offset += start * strides[d];
      to.strides.push_back(strides[d++] * step);
    }
  }
  keep(nd);
  return true;
}

[[noreturn]] void too_many(const Tensor& t, int n) {
  fail(ErrorKind::Index, "too many indices for tensor of dimension ", t.dim(), ": ", n,
       " were given, the shape is ", t.shape());
}

Indexed resolve(const Tensor& self, PyObject* index) {
  Obj items;
  if (PyTuple_Check(index))
    items = Obj::borrow(index);
  else
    items = Obj(check(PyTuple_Pack(1, index)));
  Py_ssize_t n = PyTuple_GET_SIZE(items.get());
  int used = 0;
  bool ellipsis = false;
  std::vector<Obj> list;
  for (Py_ssize_t i = 0; i < n; ++i) {
    PyObject* o = PyTuple_GET_ITEM(items.get(), i);
    int64_t v;
    bool keep = o == Py_None || o == Py_Ellipsis || PyBool_Check(o) || PySlice_Check(o) ||
                (!is_tensor(o) && index_from(o, v)) ||
                (is_tensor(o) && impl_of(o)->shape.empty() && !is_mask(tensor_of(o)) &&
                 is_integral(impl_of(o)->dtype));
    list.push_back(keep ? Obj::borrow(o) : as_index(o));
    if (o == Py_Ellipsis) {
      FB_CHECK_INDEX(!ellipsis, "an index can only have a single ellipsis ('...')");
      ellipsis = true;
    }
    used += consumes(list.back().get());
  }
  if (used > self.dim()) too_many(self, used);
  Indexed r;
  r.view = self;
  int dim = 0;
  for (Obj& item_obj : list) {
    PyObject* o = item_obj.get();
    int64_t v;
    if (o == Py_Ellipsis) {
      dim += self.dim() - used;
    } else if (o == Py_None) {
      r.view = unsqueeze(r.view, dim);
      ++dim;
    } else if (PySlice_Check(o)) {
      r.view = sliced(r.view, dim, o);
      ++dim;
    } else if (PyBool_Check(o)) {
      r.view = unsqueeze(r.view, dim);
      r.advanced.resize(size_t(dim) + 1);
      Tensor mask = full({1}, Scalar(o == Py_True), DType::Bool);
      r.advanced[size_t(dim)] = mask;
      r.has_advanced = true;
      ++dim;
    } else if (!is_tensor(o) || (impl_of(o)->shape.empty() && !is_mask(tensor_of(o)))) {
      FB_CHECK_INDEX(index_from(o, v),
                     "only integers, slices (`:`), ellipsis (`...`), None and long "
                     "or byte Variables are valid indices (got ",
                     Py_TYPE(o)->tp_name, ")");
      int64_t size = r.view.shape()[dim];
      FB_CHECK_INDEX(v >= -size && v < size, "index ", v, " is out of bounds for dimension ", dim,
                     " with size ", size);
      r.view = select(r.view, dim, v);
    } else {
      Tensor t = tensor_of(o);
      if (is_mask(t) && t.dim() == 0) {
        r.view = unsqueeze(r.view, dim);
        t = reshape(t, {1});
        r.advanced.resize(size_t(dim) + 1);
        r.advanced[size_t(dim)] = t;
        ++dim;
      } else {
        FB_CHECK_INDEX(is_integral(t.dtype()),
                       "tensors used as indices must be long, int, byte or "
                       "bool tensors, not ",
                       t.dtype());
        r.advanced.resize(size_t(dim) + 1);
        r.advanced[size_t(dim)] = t;
        dim += is_mask(t) ? t.dim() : 1;
      }
      r.has_advanced = true;
    }
  }
  return r;
}

} // namespace

PyObject* get_item(const Tensor& self, PyObject* key) {
  Layout to;
  if (!(grad_enabled() && self.requires_grad()) && basic_layout(self, key, to)) {
    Tensor out = alias_as(self, to.shape, to.strides, to.offset);
    begin_view(self, out);
    return wrap(std::move(out));
  }
  Indexed r = resolve(self, key);
  if (r.has_advanced) return wrap(index(r.view, r.advanced));
  // An index that changed nothing still gives a new view.
  if (r.view.is(self)) return wrap(alias_view(self));
  return wrap(r.view);
}

void set_item(const Tensor& self, PyObject* key, PyObject* value) {
  check_inplace(self, "__setitem__");
  if ((PyFloat_CheckExact(value) || PyLong_CheckExact(value)) &&
      !(grad_enabled() && self.requires_grad())) {
    Layout to;
    Scalar v;
    scalar_from(value, v);
    if (basic_layout(self, key, to)) {
      Tensor view = alias_as(self, to.shape, to.strides, to.offset);
      fill_(view, v);
      return self.bump_version();
    }
  }
  Indexed r = resolve(self, key);
  Tensor v = is_tensor(value) ? tensor_of(value) : operand_from(value);
  if (!v.defined()) { // lists and arrays follow self to its GPU
    v = tensor_from_data(value, {}, {}, true);
    if (self.is_cuda()) v = move_to(v, self.device(), v.dtype());
  }
  if (!r.has_advanced) {
    // Leading dimensions of size 1 that broadcasting would not drop are dropped, as NumPy does.
    while (v.dim() > r.view.dim() && v.shape()[0] == 1) v = select(v, 0, 0);
    if (&r.view.storage() != &self.storage()) { // a reversed slice is a copy: write through it
      fail(ErrorKind::NotImplemented,
           "assignment through a slice with a negative step is not "
           "supported: assign to the forward slice with flambeau.flip(value, ...)");
    }
    copy_(r.view, v);
    return;
  }
  index_put_(r.view, r.advanced, v, false);
}

} // namespace flambeau::py
