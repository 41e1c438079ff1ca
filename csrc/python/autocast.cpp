// The lists of functions are PyTorch's; a function that calls others leaves the choice to them.
#include "autocast.h"

#include <algorithm>
#include <unordered_map>

#include "../autograd/node.h"

namespace flambeau::py {

constinit thread_local bool autocast_on = false;

namespace {

constexpr const char* kNarrow[] = {"conv1d",
                                   "conv2d",
                                   "conv3d",
                                   "conv_transpose1d",
                                   "conv_transpose2d",
                                   "conv_transpose3d",
                                   "prelu",
                                   "addmm",
                                   "matmul",
                                   "mm",
                                   "linalg_vecdot",
                                   "linear",
                                   "addbmm",
                                   "baddbmm",
                                   "bmm",
                                   "_einsum",
                                   "_recurrent",
                                   "scaled_dot_product_attention"};
constexpr const char* kNarrowCuda[] = {"addmv", "addr", "mv"};

constexpr const char* kWide[] = {"prod",       "nll_loss", "cross_entropy", "cross_entropy_loss",
                                 "huber_loss", "l1_loss",  "mse_loss",      "smooth_l1_loss"};
constexpr const char* kWideCpu[] = {"adaptive_avg_pool3d",
                                    "adaptive_max_pool3d",
                                    "avg_pool3d",
                                    "max_pool3d",
                                    "max_pool3d_with_indices",
                                    "polar",
                                    "trace",
                                    "view_as_complex"};
constexpr const char* kWideCuda[] = {
    "acos",        "arccos",     "asin",       "arcsin",     "cosh",
    "erfinv",      "exp",        "expm1",      "log",        "log10",
    "log2",        "log1p",      "reciprocal", "rsqrt",      "sinh",
    "tan",         "pow",        "softplus",   "layer_norm", "native_layer_norm",
    "rms_norm",    "group_norm", "logsumexp",  "softmax",    "_softmax",
    "log_softmax", "cumprod",    "cumsum",     "norm",       "linalg_vector_norm",
    "sum"};

constexpr const char* kWidestCuda[] = {"addcdiv", "addcmul", "atan2",     "arctan2",    "cross",
                                       "dot",     "vdot",    "index_put", "scatter_add"};

struct Setting {
  bool enabled = false;
  DType narrow = DType::BF16;
};
thread_local Setting settings[2] = {{false, DType::BF16}, {false, DType::F16}}; // CPU, CUDA
thread_local bool caching = true;

// Narrow copies of weights, kept while the outermost context lasts. A thread's end must not drop
// them without the GIL, so the map itself is never destroyed.
struct Cached {
  Tensor weight; // keeps the key alive
  uint32_t version;
  Tensor narrow;
};
thread_local auto& cache = *new std::unordered_map<TensorImpl*, Cached>;

const Setting* setting_of(const Tensor& t) {
  if (t.is_meta()) return nullptr;
  const Setting& s = settings[t.is_cuda()];
  return s.enabled ? &s : nullptr;
}
bool is_castable(const Tensor& t) {
  return is_float(t.dtype()) && t.dtype() != DType::F64 && !t.impl()->weak && setting_of(t);
}

Tensor cast_to(const Tensor& t, DType want, bool weight_cache) {
  if (t.dtype() == want) return t;
  bool weight = weight_cache && caching && t.dtype() == DType::F32 && t.is_leaf() &&
                t.requires_grad() && !t.impl()->base;
  if (!weight) return to_dtype(t, want);
  auto it = cache.find(t.impl());
  // Made without gradients, or from values that have changed since: not the same any more.
  if (it != cache.end() && it->second.narrow.dtype() == want && it->second.version == t.version() &&
      it->second.narrow.requires_grad() == grad_enabled())
    return it->second.narrow;
  Tensor narrow = to_dtype(t, want);
  cache[t.impl()] = {t, t.version(), narrow};
  return narrow;
}

template<class F>
void each_tensor(Args& args, F f) {
  for (int i = 0; i < args.list.size(); ++i) {
    Arg& a = args.list[i];
    const Tensor& before = a.tensor.get();
    if (!before.defined()) continue;
    Tensor after = f(before);
    if (after.is(before)) continue;
    args.held.push_back(after);
    a.tensor = after.impl();
  }
  for (Tensors& list : args.tensors_pool)
    for (Tensor& t : list)
      if (t.defined()) t = f(t);
}

PyObject* f_set_autocast(PyObject*, PyObject* args) {
  FB_TRY
  const char* device;
  int enabled, cached;
  PyObject* dtype;
  if (!PyArg_ParseTuple(args, "spOp", &device, &enabled, &dtype, &cached)) return nullptr;
  Setting& s = settings[std::string(device) == "cuda"];
  FB_CHECK_TYPE(dtype_from(dtype, s.narrow), "_set_autocast expects a dtype");
  s.enabled = enabled;
  caching = cached;
  autocast_on = settings[0].enabled || settings[1].enabled;
  Py_RETURN_NONE;
  FB_CATCH(nullptr)
}
PyObject* f_get_autocast(PyObject*, PyObject* args) {
  FB_TRY
  const char* device;
  if (!PyArg_ParseTuple(args, "s", &device)) return nullptr;
  const Setting& s = settings[std::string(device) == "cuda"];
  return Py_BuildValue("(NNN)", PyBool_FromLong(s.enabled), wrap(s.narrow),
                       PyBool_FromLong(caching));
  FB_CATCH(nullptr)
}
PyObject* f_clear_cache(PyObject*, PyObject*) {
  cache.clear();
  Py_RETURN_NONE;
}
PyObject* f_on(PyObject*, PyObject*) { return PyBool_FromLong(autocast_on); }
PyMethodDef functions[] = {{"_set_autocast", f_set_autocast, METH_VARARGS, nullptr},
                           {"_get_autocast", f_get_autocast, METH_VARARGS, nullptr},
                           {"clear_autocast_cache", f_clear_cache, METH_NOARGS,
                            "Drops the narrow copies of weights that autocast keeps."},
                           {"_autocast_on", f_on, METH_NOARGS, nullptr},
                           {nullptr, nullptr, 0, nullptr}};

} // namespace

Casts casts_of(const std::string& function) {
  auto in = [&](const auto& list) {
    return std::any_of(std::begin(list), std::end(list),
                       [&](const char* name) { return function == name; });
  };
  Casts c;
  if (in(kNarrow)) return {Cast::Narrow, Cast::Narrow};
  if (in(kWide)) return {Cast::Wide, Cast::Wide};
  if (in(kWideCpu)) c.cpu = Cast::Wide;
  if (in(kNarrowCuda)) c.cuda = Cast::Narrow;
  if (in(kWideCuda)) c.cuda = Cast::Wide;
  if (in(kWidestCuda)) c.cuda = Cast::Widest;
  return c;
}

Tensor autocast_wide(const Tensor& t) { return is_castable(t) ? cast_to(t, DType::F32, false) : t; }

void autocast_args(const Casts& casts, Args& args) {
  bool half = false, single = false;
  each_tensor(args, [&](const Tensor& t) {
    if (is_castable(t)) (t.dtype() == DType::F32 ? single : half) = true;
    return t;
  });
  if (!half && !single) return;
  each_tensor(args, [&](const Tensor& t) {
    if (!is_castable(t)) return t;
    switch (t.is_cuda() ? casts.cuda : casts.cpu) {
    case Cast::Narrow: return cast_to(t, setting_of(t)->narrow, true);
    case Cast::Wide: return cast_to(t, DType::F32, false);
    case Cast::Widest: return half && single ? cast_to(t, DType::F32, false) : t;
    default: return t;
    }
  });
}

void add_autocast(PyObject* m) { check(PyModule_AddFunctions(m, functions)); }

} // namespace flambeau::py
