// The extension module flambeau._C.
#include "../core/allocator.h"
#include "../core/elementwise.h"
#include "../cpu/parallel.h"
#include "py.h"

namespace flambeau::py {

namespace {

PyObject* f_set_default_dtype(PyObject*, PyObject* o) {
  FB_TRY
  DType d;
  FB_CHECK_TYPE(dtype_from(o, d) && is_float(d), "invalid type: only floating-point types are "
                                                 "supported as the default type");
  set_default_dtype(d);
  Py_RETURN_NONE;
  FB_CATCH(nullptr)
}
PyObject* f_get_default_dtype(PyObject*, PyObject*) { return wrap(default_dtype()); }
PyObject* f_set_num_threads(PyObject*, PyObject* o) {
  FB_TRY
  int64_t n;
  FB_CHECK_TYPE(index_from(o, n), "set_num_threads expects an int, but got ", Py_TYPE(o)->tp_name);
  FB_CHECK(n > 0 && n < 100000, "set_num_threads: expected a positive number of threads, got ", n);
  set_num_threads(int(n));
  Py_RETURN_NONE;
  FB_CATCH(nullptr)
}
PyObject* f_get_num_threads(PyObject*, PyObject*) { return PyLong_FromLong(num_threads()); }
PyObject* f_promote_types(PyObject*, PyObject* args) {
  FB_TRY
  PyObject *x, *y;
  if (!PyArg_ParseTuple(args, "OO", &x, &y)) return nullptr;
  DType a, b;
  FB_CHECK_TYPE(dtype_from(x, a) && dtype_from(y, b), "promote_types expects two dtypes");
  return wrap(promote(a, b));
  FB_CATCH(nullptr)
}
PyObject* f_can_cast(PyObject*, PyObject* args) {
  FB_TRY
  PyObject *x, *y;
  if (!PyArg_ParseTuple(args, "OO", &x, &y)) return nullptr;
  DType a, b;
  FB_CHECK_TYPE(dtype_from(x, a) && dtype_from(y, b), "can_cast expects two dtypes");
  return PyBool_FromLong(can_cast(a, b));
  FB_CATCH(nullptr)
}
PyObject* f_result_type(PyObject*, PyObject* args) {
  FB_TRY
  PyObject *x, *y;
  if (!PyArg_ParseTuple(args, "OO", &x, &y)) return nullptr;
  Tensor a = operand_from(x), b = operand_from(y);
  FB_CHECK_TYPE(a.defined() && b.defined(), "result_type expects tensors or numbers");
  const Tensor* in[2] = {&a, &b};
  return wrap(result_type(in, 2));
  FB_CATCH(nullptr)
}
PyObject* f_memory_stats(PyObject*, PyObject*) {
  MemoryStats s = memory_stats();
  return Py_BuildValue("{s:L,s:L,s:L}", "allocated", (long long)s.allocated, "peak",
                       (long long)s.peak, "cached", (long long)s.cached);
}
PyObject* f_empty_cache(PyObject*, PyObject*) {
  empty_cache();
  Py_RETURN_NONE;
}
PyObject* f_reset_peak(PyObject*, PyObject*) {
  reset_peak_memory();
  Py_RETURN_NONE;
}
PyObject* f_signatures(PyObject*, PyObject*) {
  Obj list(check(PyList_New(0)));
  for (const FunctionRow& r : function_rows()) {
    Obj row(Py_BuildValue("(sIs)", r.schema.c_str(), r.forms, r.doc.c_str()));
    if (!row || PyList_Append(list.get(), row.get()) < 0) return nullptr;
  }
  return list.release();
}
PyObject* f_cpu_capability(PyObject*, PyObject*) {
  return PyUnicode_FromString(cpu_has_avx512() ? "AVX512" : cpu_has_avx2() ? "AVX2" : "DEFAULT");
}

PyMethodDef functions[] = {
    {"set_default_dtype", f_set_default_dtype, METH_O, "The float dtype that numbers become."},
    {"get_default_dtype", f_get_default_dtype, METH_NOARGS, "The float dtype that numbers become."},
    {"set_num_threads", f_set_num_threads, METH_O, "Threads that one operation may use."},
    {"get_num_threads", f_get_num_threads, METH_NOARGS, "Threads that one operation may use."},
    {"promote_types", f_promote_types, METH_VARARGS, "The dtype that two dtypes combine to."},
    {"can_cast", f_can_cast, METH_VARARGS, "Whether promotion rules allow from -> to."},
    {"result_type", f_result_type, METH_VARARGS, "The dtype an operation on both would give."},
    {"_memory_stats", f_memory_stats, METH_NOARGS, nullptr},
    {"_empty_cache", f_empty_cache, METH_NOARGS, nullptr},
    {"_reset_peak_memory", f_reset_peak, METH_NOARGS, nullptr},
    {"_signatures", f_signatures, METH_NOARGS, "(signature, forms, doc) of every function."},
    {"_cpu_capability", f_cpu_capability, METH_NOARGS, "The instruction set in use."},
    {nullptr, nullptr, 0, nullptr}};

PyModuleDef definition = {PyModuleDef_HEAD_INIT,
                          "flambeau._C",
                          "The core of Flambeau.",
                          -1,
                          functions,
                          nullptr,
                          nullptr,
                          nullptr,
                          nullptr};

} // namespace
} // namespace flambeau::py

PyMODINIT_FUNC PyInit__C() {
  using namespace flambeau::py;
  try {
    Obj m(check(PyModule_Create(&definition)));
    add_types(m.get());
    add_tensor_type(m.get());
    add_generator(m.get());
    add_autograd(m.get());
    add_numpy(m.get());
    add_dlpack(m.get());
    add_cuda(m.get());
    add_modes(m.get());
    add_autocast(m.get());
    add_functions(m.get());
    return m.release();
  } catch (...) {
    set_exception();
    return nullptr;
  }
}
