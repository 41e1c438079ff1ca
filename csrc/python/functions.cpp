// Registered functions as Python callables: signatures parsed once, arguments by signature.
#include <algorithm>
#include <bit>
#include <cstring>
#include <map>
#include <memory>

#include "../autograd/node.h"
#include "../core/elementwise.h"
#include "autocast.h"
#include "py.h"
#include <structmember.h>

namespace flambeau::py {
namespace {

enum class Type : uint8_t {
  Tensor,
  Operand,
  Scalar,
  Int,
  Float,
  Bool,
  Str,
  DType,
  Device,
  Object,
  Generator,
  Ints,
  Tensors
};

struct Param {
  std::string name;
  PyObject* name_obj = nullptr;
  Type type;
  bool optional = false; // None allowed
  bool required = true;
  bool keyword_only = false;
  int length = 0; // int[2]: one int stands for all; -1: int[*]
  Arg fallback;
  Dims fallback_dims;
  std::string fallback_text;
};

struct Signature {
  const FunctionRow* row;
  std::vector<Param> params;
  std::vector<Arg> defaults;
  uint64_t required = 0, pooled = 0; // bit i: parameter i; its default lies in a pool of Args
  int positional = 0;
  bool loose = false; // the last of them may take several arguments
  bool tuple_result = false, list_result = false;
  int device_at = -1; // of a function that takes no tensor: it makes one on the default device
  bool casts = false; // autocast changes its arguments
  Casts autocast;
  std::vector<std::string> result_names;
  PyTypeObject* result_type = nullptr; // a named tuple
  std::string text;
};

enum class Form : uint8_t { Plain, Inplace };

struct FunctionObject {
  PyObject_HEAD vectorcallfunc vectorcall;
  std::vector<Signature>* signatures;
  PyObject* name;
  Form form;
};
PyTypeObject* FunctionType = nullptr;
std::map<std::string, PyObject*>* by_name = nullptr;

// Signatures ----------------------------------------------------------------------------------

struct Reader {
  const std::string& s;
  size_t at = 0;
  void space() {
    while (at < s.size() && s[at] == ' ') ++at;
  }
  bool take(const char* t) {
    space();
    if (s.compare(at, strlen(t), t)) return false;
    at += strlen(t);
    return true;
  }
  std::string word() {
    space();
    size_t b = at;
    while (at < s.size() && (isalnum(s[at]) || s[at] == '_')) ++at;
    return s.substr(b, at - b);
  }
  std::string until(const char* stops) {
    space();
    size_t b = at;
    int depth = 0;
    while (at < s.size()) {
      char c = s[at];
      if (!depth && strchr(stops, c)) break;
      depth += c == '[' || c == '(' ? 1 : c == ']' || c == ')' ? -1 : 0;
      ++at;
    }
    return s.substr(b, at - b);
  }
};

Type type_named(const std::string& t, const std::string& schema) {
  static const std::map<std::string, Type> types = {
      {"Tensor", Type::Tensor}, {"Operand", Type::Operand},    {"Scalar", Type::Scalar},
      {"int", Type::Int},       {"float", Type::Float},        {"bool", Type::Bool},
      {"str", Type::Str},       {"dtype", Type::DType},        {"device", Type::Device},
      {"object", Type::Object}, {"generator", Type::Generator}};
  auto it = types.find(t);
  FB_CHECK(it != types.end(), "unknown type '", t, "' in signature ", schema);
  return it->second;
}

void read_default(Param& p, const std::string& text) {
  p.required = false;
  if (text == "None") return;
  p.fallback.given = true;
  switch (p.type) {
  case Type::Bool: p.fallback.flag = text == "True"; break;
  case Type::Str: p.fallback_text = text.substr(1, text.size() - 2); break;
  case Type::Int: p.fallback.scalar = Scalar(int64_t(std::stoll(text))); break;
  case Type::Float: p.fallback.scalar = Scalar(std::stod(text)); break;
  case Type::Scalar:
  case Type::Operand:
    p.fallback.scalar = text.find_first_of(".einf") == std::string::npos
                            ? Scalar(int64_t(std::stoll(text)))
                            : Scalar(std::stod(text));
    break;
  case Type::Ints: {
    if (text[0] != '[') {
      p.fallback_dims = Dims(std::max(p.length, 1), std::stoll(text));
      break;
    }
    std::string num;
    for (char c : text) {
      if (isdigit(c) || c == '-')
        num += c;
      else if (!num.empty()) {
        p.fallback_dims.push_back(std::stoll(num));
        num.clear();
      }
    }
    break;
  }
  default: fail(ErrorKind::Runtime, "default '", text, "' not understood");
  }
}

Signature read_signature(const FunctionRow& row) {
  Signature sig;
  sig.row = &row;
  sig.text = row.schema;
  Reader r{row.schema};
  r.word();
  FB_CHECK(r.take("("), "bad signature ", row.schema);
  bool keyword_only = false;
  while (!r.take(")")) {
    if (r.take("*")) {
      keyword_only = true;
    } else {
      Param p;
      p.type = type_named(r.word(), row.schema);
      if (r.take("[")) {
        std::string n = r.until("]");
        r.take("]");
        p.length = n == "*" ? -1 : n.empty() ? 0 : std::stoi(n);
        p.type = p.type == Type::Tensor ? Type::Tensors : Type::Ints;
      }
      p.optional = r.take("?");
      p.name = r.word();
      p.name_obj = PyUnicode_InternFromString(p.name.c_str());
      p.keyword_only = keyword_only;
      if (r.take("=")) read_default(p, r.until(",)"));
      if (!keyword_only) ++sig.positional;
      sig.loose = sig.loose || p.length == -1;
      sig.params.push_back(std::move(p));
    }
    r.take(",");
  }
  for (size_t i = 0; i < sig.params.size(); ++i) {
    const Param& p = sig.params[i];
    bool pooled = p.type == Type::Ints || p.type == Type::Str || p.type == Type::Operand;
    sig.defaults.push_back(p.fallback);
    sig.required |= uint64_t(p.required) << i;
    sig.pooled |= uint64_t(pooled && p.fallback.given) << i;
  }
  for (int i = 0; i < int(sig.params.size()); ++i) {
    Type t = sig.params[size_t(i)].type;
    if (t == Type::Device) sig.device_at = i;
    if (t == Type::Tensor || t == Type::Operand || t == Type::Tensors) {
      sig.device_at = -1;
      break;
    }
  }
  sig.autocast = casts_of(row.schema.substr(0, row.schema.find('(')));
  sig.casts = sig.autocast.cpu != Cast::None || sig.autocast.cuda != Cast::None;
  if (r.take("->")) {
    if (r.take("(")) {
      sig.tuple_result = true;
      while (!r.take(")")) {
        r.word();
        sig.result_names.push_back(r.word());
        r.take(",");
      }
    } else {
      r.word();
      if (r.take("[]"))
        sig.list_result = true;
      else if (r.take("()"))
        sig.tuple_result = true;
    }
  }
  return sig;
}

PyTypeObject* named_tuple(const std::string& fn, const std::vector<std::string>& names) {
  auto* fields = new PyStructSequence_Field[names.size() + 1];
  for (size_t i = 0; i < names.size(); ++i) fields[i] = {strdup(names[i].c_str()), nullptr};
  fields[names.size()] = {nullptr, nullptr};
  std::string full = "flambeau.return_types." + fn;
  auto* desc = new PyStructSequence_Desc{strdup(full.c_str()), nullptr, fields, int(names.size())};
  return PyStructSequence_NewType(desc);
}

// Arguments -----------------------------------------------------------------------------------

bool tensors_from(PyObject* o, Tensors& out) {
  if (!PyTuple_Check(o) && !PyList_Check(o)) return false;
  Py_ssize_t n = PySequence_Fast_GET_SIZE(o);
  for (Py_ssize_t i = 0; i < n; ++i) {
    PyObject* x = PySequence_Fast_GET_ITEM(o, i);
    if (!is_tensor(x)) return false;
    out.push_back(tensor_of(x));
  }
  return true;
}

const char* format_name(PyObject* o) { // flambeau.channels_last and its kin are strings
  return PyUnicode_Check(o) ? PyUnicode_AsUTF8(o) : nullptr;
}

// Puts o into arg; false when its type does not fit.
bool convert(const Param& p, PyObject* o, Arg& arg, Args& all) {
  if (o == Py_None) {
    arg = Arg();
    return p.optional || p.type == Type::Object;
  }
  arg.given = true;
  switch (p.type) {
  case Type::Tensor:
    if (!is_tensor(o)) return false;
    arg.tensor = impl_of(o);
    return true;
  case Type::Operand:
    if (is_tensor(o)) {
      arg.tensor = impl_of(o);
      return true;
    }
    if (!scalar_from(o, arg.scalar)) return false;
    all.held.push_back(weak_scalar(arg.scalar));
    arg.tensor = all.held.back().impl();
    return true;
  case Type::Scalar: return scalar_from(o, arg.scalar);
  case Type::Float:
    if (PyComplex_Check(o)) return false;
    if (!scalar_from(o, arg.scalar)) return false;
    return true;
  case Type::Int: {
    int64_t v;
    if (PyBool_Check(o) || !index_from(o, v)) return false;
    arg.scalar = Scalar(v);
    return true;
  }
  case Type::Bool:
    if (PyBool_Check(o))
      arg.flag = o == Py_True;
    else if (!strcmp(Py_TYPE(o)->tp_name, "numpy.bool") ||
             !strcmp(Py_TYPE(o)->tp_name, "numpy.bool_"))
      arg.flag = PyObject_IsTrue(o) == 1;
    else
      return false;
    return true;
  case Type::Str: {
    const char* s = format_name(o);
    if (!s) return false;
    arg.pool = int(all.text_pool.size());
    all.text_pool.emplace_back(s);
    return true;
  }
  case Type::DType: return dtype_from(o, arg.dtype);
  case Type::Device: return device_from(o, arg.device);
  case Type::Object: arg.object = o; return true;
  case Type::Generator: return (arg.object = generator_state(o)) != nullptr;
  case Type::Tensors: {
    Tensors ts;
    if (!tensors_from(o, ts)) return false;
    arg.pool = int(all.tensors_pool.size());
    all.tensors_pool.push_back(std::move(ts));
    return true;
  }
  case Type::Ints: {
    arg.pool = all.dims_pool.size();
    Dims& d = all.dims_pool.emplace_back();
    int64_t one;
    if (!dims_from(o, d)) {
      if (p.length == 0 || PyBool_Check(o) || !index_from(o, one)) return false;
      d = Dims(p.length > 0 ? p.length : 1, one);
    }
    return true;
  }
  }
  return false;
}

void pool_default(const Param& p, Arg& arg, Args& all) {
  if (p.type == Type::Ints) {
    arg.pool = all.dims_pool.size();
    all.dims_pool.push_back(p.fallback_dims);
  } else if (p.type == Type::Str) {
    arg.pool = int(all.text_pool.size());
    all.text_pool.push_back(p.fallback_text);
  } else if (p.type == Type::Operand) {
    all.held.push_back(weak_scalar(arg.scalar));
    arg.tensor = all.held.back().impl();
  }
}

PyObject *s_out, *s_axis, *s_keepdims, *s_dim, *s_keepdim, *s_input, *s_self, *s_x1, *s_a;

// Whether `k` says the interned word; the keywords in a program are interned, too.
bool same_word(PyObject* k, PyObject* word) {
  return k == word || (!PyUnicode_CHECK_INTERNED(k) && PyUnicode_Compare(k, word) == 0);
}

// Whether keyword `k` names parameter p; NumPy's spellings count too.
bool names_param(PyObject* k, const Param& p) {
  if (same_word(k, p.name_obj)) return true;
  if (p.name_obj == s_dim) return same_word(k, s_axis);
  if (p.name_obj == s_keepdim) return same_word(k, s_keepdims);
  if (p.name_obj == s_input) return same_word(k, s_self) || same_word(k, s_x1) || same_word(k, s_a);
  return p.name_obj == s_self && same_word(k, s_input);
}

bool take_out(PyObject* o, Args& all) {
  if (o == Py_None) return true;
  if (is_tensor(o)) {
    all.out = tensor_of(o);
    return true;
  }
  return tensors_from(o, all.outs);
}

bool parse(const Signature& sig, PyObject* const* args, Py_ssize_t n, PyObject* kwnames, Args& all,
           bool allow_out) {
  int np = int(sig.params.size());
  if (n > sig.positional && !sig.loose) return false;
  for (const Arg& a : sig.defaults) all.list.emplace_back(a);
  Py_ssize_t nk = kwnames ? PyTuple_GET_SIZE(kwnames) : 0;
  uint64_t set = 0;
  Py_ssize_t at = 0;
  for (int i = 0; i < sig.positional && at < n; ++i) {
    const Param& p = sig.params[size_t(i)];
    if (p.length == -1 && !PyTuple_Check(args[at]) && !PyList_Check(args[at])) {
      Dims& d = all.dims_pool.emplace_back(); // the sizes as separate arguments
      int64_t v;
      for (; at < n && !PyBool_Check(args[at]) && index_from(args[at], v); ++at) d.push_back(v);
      if (!d.empty()) {
        all.list[i].given = true;
        all.list[i].pool = all.dims_pool.size() - 1;
        set |= 1ull << i;
        continue;
      }
      all.dims_pool.pop_back();
    }
    if (!convert(p, args[at], all.list[i], all)) return false;
    set |= 1ull << i;
    ++at;
  }
  if (at < n) return false;
  for (Py_ssize_t k = 0; k < nk; ++k) {
    PyObject* key = PyTuple_GET_ITEM(kwnames, k);
    bool found = false;
    for (int i = 0; i < np && !found; ++i) {
      if (!names_param(key, sig.params[size_t(i)])) continue;
      found = true;
      if (set >> i & 1) return false;
      if (!convert(sig.params[size_t(i)], args[n + k], all.list[i], all)) return false;
      set |= 1ull << i;
    }
    if (found) continue;
    if (allow_out && same_word(key, s_out)) {
      if (!take_out(args[n + k], all)) return false;
      continue;
    }
    return false;
  }
  for (uint64_t left = sig.required & ~set; left; left &= left - 1) {
    int i = std::countr_zero(left);
    if (sig.params[size_t(i)].length != -1 || nk + n > 1) return false;
    all.list[i].given = true; // zeros(), x.view(): no sizes at all
    all.list[i].pool = all.dims_pool.size();
    all.dims_pool.emplace_back();
  }
  for (uint64_t left = sig.pooled & ~set; left; left &= left - 1) {
    int i = std::countr_zero(left);
    pool_default(sig.params[size_t(i)], all.list[i], all);
  }
  if (sig.device_at >= 0 && !all.list[sig.device_at].given)
    all.list[sig.device_at].device = default_device();
  // Of two operands one must be a tensor.
  if (!all.held.empty()) {
    bool tensor = false;
    for (const Arg& x : all.list) tensor = tensor || (x.tensor.impl() && !x.tensor.impl()->weak);
    if (!tensor) return false;
  }
  return true;
}

std::string type_of(PyObject* o) {
  std::string s = Py_TYPE(o)->tp_name;
  size_t dot = s.rfind('.');
  if (dot != std::string::npos) s = s.substr(dot + 1);
  if (is_tensor(o)) return s + " " + describe(tensor_of(o));
  if (PyTuple_Check(o) || PyList_Check(o)) {
    s += " of (";
    Py_ssize_t n = PySequence_Fast_GET_SIZE(o);
    for (Py_ssize_t i = 0; i < std::min<Py_ssize_t>(n, 4); ++i)
      s += (i ? ", " : "") + type_of(PySequence_Fast_GET_ITEM(o, i));
    s += n > 4 ? ", ...)" : ")";
  }
  return s;
}

[[noreturn]] void no_match(FunctionObject* f, PyObject* const* args, Py_ssize_t n,
                           PyObject* kwnames) {
  std::string name = PyUnicode_AsUTF8(f->name), got;
  for (Py_ssize_t i = 0; i < n; ++i) got += (i ? ", " : "") + type_of(args[i]);
  Py_ssize_t nk = kwnames ? PyTuple_GET_SIZE(kwnames) : 0;
  for (Py_ssize_t k = 0; k < nk; ++k)
    got += (n + k ? ", " : "") + std::string(PyUnicode_AsUTF8(PyTuple_GET_ITEM(kwnames, k))) + "=" +
           type_of(args[n + k]);
  std::string text = name + "() received an invalid combination of arguments - got (" + got +
                     "), but expected " + (f->signatures->size() > 1 ? "one of:" : "");
  for (const Signature& s : *f->signatures) text += "\n * " + s.text;
  throw Error(ErrorKind::Type, text);
}

// Results -------------------------------------------------------------------------------------

PyObject* wrap_value(const Signature& sig, Value v) {
  if (auto* t = std::get_if<Tensor>(&v)) return wrap(std::move(*t));
  if (auto* ts = std::get_if<Tensors>(&v)) {
    if (sig.result_type) {
      PyObject* r = check(PyStructSequence_New(sig.result_type));
      for (size_t i = 0; i < ts->size(); ++i)
        PyStructSequence_SetItem(r, Py_ssize_t(i), wrap((*ts)[i]));
      return r;
    }
    return wrap_list(*ts, sig.list_result);
  }
  if (auto* s = std::get_if<Scalar>(&v)) return wrap(*s);
  if (auto* d = std::get_if<Dims>(&v)) return wrap_size(*d);
  if (auto* s = std::get_if<std::string>(&v)) return PyUnicode_FromString(s->c_str());
  if (auto* d = std::get_if<DType>(&v)) return wrap(*d);
  Py_RETURN_NONE;
}

void write_out(const std::string& name, const Tensor& out, const Tensor& result) {
  FB_CHECK(can_cast(result.dtype(), out.dtype()), "result type ", result.dtype(),
           " can't be cast to the desired output type ", out.dtype());
  FB_CHECK(
      !result.requires_grad() && !(grad_enabled() && out.requires_grad()), name,
      "(): functions with out=... arguments don't support automatic differentiation, but one of "
      "the arguments requires grad.");
  resize_out(out, result.shape(), name.c_str());
  copy_values(out, result);
  out.bump_version();
}

// The in-place form of a function that has only the plain one: compute, then take over.
Value inplace_by_copy(const Signature& sig, Args& all, const std::string& name) {
  Tensor self = all.tensor(0);
  check_inplace(self, name.c_str());
  Tensor before; // the derivative may read the operand that is about to be overwritten
  if (grad_enabled() && self.requires_grad()) {
    before = clone(self);
    all.list[0].tensor = before.impl();
  }
  all.inplace = true; // it may write to self where it can
  Value v = sig.row->fn(all);
  const Tensor& r = std::get<Tensor>(v);
  if (r.is(self)) {
    record_inplace(self, Tensor());
    return self;
  }
  FB_CHECK(r.shape() == self.shape(), name, ": output with shape ", self.shape(),
           " doesn't match the result's shape ", r.shape());
  FB_CHECK(can_cast(r.dtype(), self.dtype()), "result type ", r.dtype(),
           " can't be cast to the desired output type ", self.dtype());
  copy_(self, r);
  return self;
}

PyObject* run(FunctionObject* f, const Signature& sig, Args& all) {
  all.context = sig.row->context;
  if (autocast_on && sig.casts && f->form == Form::Plain && !all.out.defined() && all.outs.empty())
      [[unlikely]]
    autocast_args(sig.autocast, all);
  bool native = sig.row->forms & kNative;
  if (f->form == Form::Inplace) {
    if (native) {
      all.out = all.tensor(0);
      all.inplace = true;
      return wrap_value(sig, sig.row->fn(all));
    }
    return wrap_value(sig, inplace_by_copy(sig, all, PyUnicode_AsUTF8(f->name)));
  }
  if (!all.out.defined() && all.outs.empty()) return wrap_value(sig, sig.row->fn(all));
  if (native) return wrap_value(sig, sig.row->fn(all));
  Tensor out = std::move(all.out);
  Tensors outs = std::move(all.outs);
  all.out.reset();
  all.outs.clear();
  Value v = sig.row->fn(all);
  std::string name = PyUnicode_AsUTF8(f->name);
  if (auto* t = std::get_if<Tensor>(&v)) {
    write_out(name, out, *t);
    return wrap(out);
  }
  auto* ts = std::get_if<Tensors>(&v);
  FB_CHECK(ts && ts->size() == outs.size(), name,
           ": out= takes as many tensors as the function "
           "returns");
  for (size_t i = 0; i < outs.size(); ++i) write_out(name, outs[i], (*ts)[i]);
  return wrap_value(sig, Value(outs));
}

} // namespace

static bool may_override(PyTypeObject* t) {
  return t != TensorType && (t->tp_flags & Py_TPFLAGS_HEAPTYPE);
}

bool overrides_functions(PyTypeObject* t) {
  static PyObject* attr = PyUnicode_InternFromString("__torch_function__");
  static struct {
    PyTypeObject* type;
    unsigned version;
  } plain[8]; // types seen not to override, while their attributes stay as they were
  static int next_plain = 0;
  if (!may_override(t)) return false;
  for (auto& p : plain)
    if (p.type == t && p.version == t->tp_version_tag && p.version) return false;
  Obj method(PyObject_GetAttr(reinterpret_cast<PyObject*>(t), attr));
  bool own = bool(method) && method.get() != Py_None;
  PyErr_Clear();
  if (!own) {
    plain[next_plain] = {t, t->tp_version_tag};
    next_plain = (next_plain + 1) % 8;
  }
  return own;
}

namespace {

// Subclasses with their own __torch_function__ take over.
PyObject* overridden(PyObject* f, PyObject* const* args, Py_ssize_t n, PyObject* kwnames,
                     bool& handled) {
  static PyObject* attr = PyUnicode_InternFromString("__torch_function__");
  Py_ssize_t nk = kwnames ? PyTuple_GET_SIZE(kwnames) : 0;
  for (Py_ssize_t i = 0; i < n + nk; ++i) {
    PyTypeObject* t = Py_TYPE(args[i]);
    if (!overrides_functions(t)) continue;
    Obj method(check(PyObject_GetAttr(reinterpret_cast<PyObject*>(t), attr)));
    handled = true;
    Obj types(PyTuple_Pack(1, t)), tuple(PyTuple_New(n)), kw(PyDict_New());
    for (Py_ssize_t j = 0; j < n; ++j)
      PyTuple_SET_ITEM(tuple.get(), j, Obj::borrow(args[j]).release());
    for (Py_ssize_t k = 0; k < nk; ++k)
      PyDict_SetItem(kw.get(), PyTuple_GET_ITEM(kwnames, k), args[n + k]);
    return PyObject_CallFunctionObjArgs(method.get(), f, types.get(), tuple.get(), kw.get(),
                                        nullptr);
  }
  return nullptr;
}

constinit thread_local int function_overrides_off = 0;

PyObject* call(PyObject* self, PyObject* const* args, size_t nargsf, PyObject* kwnames) {
  FB_TRY
  auto* f = reinterpret_cast<FunctionObject*>(self);
  Py_ssize_t n = PyVectorcall_NARGS(nargsf);
  bool plain = true;
  for (Py_ssize_t i = 0; i < n; ++i) plain = plain && !may_override(Py_TYPE(args[i]));
  if (!(plain && !kwnames) && !function_overrides_off) {
    bool handled = false;
    PyObject* r = overridden(self, args, n, kwnames, handled);
    if (handled) return r;
  }
  bool out = f->form == Form::Plain;
  for (const Signature& sig : *f->signatures) {
    Args all;
    if (parse(sig, args, n, kwnames, all, out && (sig.row->forms & kOut))) return run(f, sig, all);
  }
  no_match(f, args, n, kwnames);
}
catch (Error& e) {
  // The text of an error begins with the function's name, unless it has it already.
  const char* name = PyUnicode_AsUTF8(reinterpret_cast<FunctionObject*>(self)->name);
  if (e.kind != ErrorKind::Python && e.text.find(name) == std::string::npos)
    e.text = std::string(name) + "(): " + e.text;
  try {
    throw;
  } catch (...) {
    set_exception();
  }
  return nullptr;
}
catch (...) {
  set_exception();
  return nullptr;
}
}

PyObject* function_get(PyObject* self, PyObject* obj, PyObject*) {
  if (!obj) return Obj::borrow(self).release();
  return PyMethod_New(self, obj);
}
PyObject* function_repr(PyObject* self) {
  return PyUnicode_FromFormat("<function flambeau.%U>",
                              reinterpret_cast<FunctionObject*>(self)->name);
}
PyObject* function_name(PyObject* self, void*) {
  return Obj::borrow(reinterpret_cast<FunctionObject*>(self)->name).release();
}
PyObject* function_doc(PyObject* self, void*) {
  std::string text;
  for (const Signature& s : *reinterpret_cast<FunctionObject*>(self)->signatures)
    text += s.text + "\n";
  text += "\n" + reinterpret_cast<FunctionObject*>(self)->signatures->front().row->doc + "\n";
  return PyUnicode_FromString(text.c_str());
}
PyObject* function_module(PyObject*, void*) { return PyUnicode_FromString("flambeau"); }
PyObject* function_reduce(PyObject* self, PyObject*) { return function_name(self, nullptr); }
PyGetSetDef function_getset[] = {{"__name__", function_name, nullptr, nullptr, nullptr},
                                 {"__qualname__", function_name, nullptr, nullptr, nullptr},
                                 {"__doc__", function_doc, nullptr, nullptr, nullptr},
                                 {"__module__", function_module, nullptr, nullptr, nullptr},
                                 {nullptr, nullptr, nullptr, nullptr, nullptr}};
PyMethodDef function_methods[] = {{"__reduce__", function_reduce, METH_NOARGS, nullptr},
                                  {nullptr, nullptr, 0, nullptr}};
PyMemberDef function_members[] = {
    {"__vectorcalloffset__", T_PYSSIZET, offsetof(FunctionObject, vectorcall), READONLY, nullptr},
    {nullptr, 0, 0, 0, nullptr}};
PyType_Slot function_slots[] = {{Py_tp_call, reinterpret_cast<void*>(PyVectorcall_Call)},
                                {Py_tp_descr_get, reinterpret_cast<void*>(function_get)},
                                {Py_tp_repr, reinterpret_cast<void*>(function_repr)},
                                {Py_tp_getset, function_getset},
                                {Py_tp_methods, function_methods},
                                {Py_tp_members, function_members},
                                {0, nullptr}};
PyType_Spec function_spec = {"flambeau._C.Function", sizeof(FunctionObject), 0,
                             Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_VECTORCALL |
                                 Py_TPFLAGS_METHOD_DESCRIPTOR | Py_TPFLAGS_DISALLOW_INSTANTIATION,
                             function_slots};

PyObject* make_function(const std::string& name, std::vector<Signature>* sigs, Form form) {
  auto* f = reinterpret_cast<FunctionObject*>(check(FunctionType->tp_alloc(FunctionType, 0)));
  f->vectorcall = call;
  f->signatures = sigs;
  f->name = PyUnicode_InternFromString(name.c_str());
  f->form = form;
  return reinterpret_cast<PyObject*>(f);
}

void publish(PyObject* m, const std::string& name, PyObject* f, unsigned forms) {
  (*by_name)[name] = f;
  if (forms & kFunction) check(PyModule_AddObjectRef(m, name.c_str(), f));
  if (forms & kMethod)
    check(PyObject_SetAttrString(reinterpret_cast<PyObject*>(TensorType), name.c_str(), f));
}

PyObject* disable_overrides(PyObject*, PyObject* on) {
  function_overrides_off += PyObject_IsTrue(on) ? 1 : -1;
  Py_RETURN_NONE;
}
PyMethodDef module_methods[] = {
    {"_disable_torch_function", disable_overrides, METH_O,
     "Counts up (True) or down (False) the scopes in which subclasses do not intercept."},
    {nullptr, nullptr, 0, nullptr}};

} // namespace

PyObject* function_named(const char* name) {
  auto it = by_name->find(name);
  FB_CHECK(it != by_name->end(), "no function ", name);
  return it->second;
}

PyObject* call_overloads(PyObject* f, PyObject* const* args, Py_ssize_t n, PyObject* kwnames) {
  return call(f, args, size_t(n), kwnames);
}

void add_functions(PyObject* m) {
  s_out = PyUnicode_InternFromString("out");
  s_axis = PyUnicode_InternFromString("axis");
  s_keepdims = PyUnicode_InternFromString("keepdims");
  s_dim = PyUnicode_InternFromString("dim");
  s_keepdim = PyUnicode_InternFromString("keepdim");
  s_input = PyUnicode_InternFromString("input");
  s_self = PyUnicode_InternFromString("self");
  s_x1 = PyUnicode_InternFromString("x1");
  s_a = PyUnicode_InternFromString("a");
  by_name = new std::map<std::string, PyObject*>;
  FunctionType = reinterpret_cast<PyTypeObject*>(check(PyType_FromSpec(&function_spec)));
  check(PyModule_AddFunctions(m, module_methods));
  add_aliases();
  std::map<std::string, std::vector<Signature>> groups;
  std::vector<std::string> order;
  for (const FunctionRow& row : function_rows()) {
    std::string name = row.schema.substr(0, row.schema.find('('));
    auto& sigs = groups[name];
    if (sigs.empty()) order.push_back(name);
    sigs.push_back(read_signature(row));
    if (!sigs.back().result_names.empty())
      sigs.back().result_type = named_tuple(name, sigs.back().result_names);
  }
  auto with = [](const std::vector<Signature>& all, unsigned form) {
    auto* some = new std::vector<Signature>; // lives as long as the function
    for (const Signature& s : all)
      if (s.row->forms & form) some->push_back(s);
    return some;
  };
  for (const std::string& name : order) {
    const auto& all = groups[name];
    auto *functions = with(all, kFunction), *methods = with(all, kMethod);
    bool one = functions->size() == all.size() && methods->size() == all.size();
    if (!functions->empty())
      publish(m, name, make_function(name, functions, Form::Plain), one ? kFM : kFunction);
    if (!methods->empty() && !one)
      publish(m, name, make_function(name, methods, Form::Plain), kMethod);
    auto* inplace = with(all, kInplace);
    if (!inplace->empty())
      publish(m, name + "_", make_function(name + "_", inplace, Form::Inplace), kFM);
  }
}

} // namespace flambeau::py
