// The CUDA backend as functions of the extension module; flambeau.cuda gives them their names.
#include "../autograd/node.h"
#include "../cuda/graph.h"
#include "../cuda/launch.h"
#include "../cuda/pool.h"
#include "../cuda/settings.h"
#include "../ops/ops.h"
#include "py.h"

namespace flambeau::py {

namespace {

std::vector<std::string> wheel_directories() {
  std::vector<std::string> dirs;
  PyGILState_STATE gil = PyGILState_Ensure();
  {
    Obj module(PyImport_ImportModule("flambeau.cuda._libraries"));
    Obj list(module ? PyObject_CallMethod(module.get(), "directories", nullptr) : nullptr);
    for (Py_ssize_t i = 0; list && i < PyList_GET_SIZE(list.get()); ++i)
      if (const char* s = PyUnicode_AsUTF8(PyList_GET_ITEM(list.get(), i))) dirs.push_back(s);
    if (PyErr_Occurred()) PyErr_WriteUnraisable(nullptr);
  }
  PyGILState_Release(gil);
  return dirs;
}

cuda::Handle handle(unsigned long long v) { return reinterpret_cast<cuda::Handle>(v); }
PyObject* from_handle(cuda::Handle h) { return PyLong_FromVoidPtr(h); }

int device_arg(int i) {
  FB_CHECK(cuda::driver_problem().empty(), "CUDA is not available: ", cuda::driver_problem());
  if (i < 0) return cuda::current_device();
  FB_CHECK(i < cuda::device_count(), "CUDA error: invalid device ordinal ", i,
           ": this machine has ", cuda::device_count(), " usable GPU(s)");
  return i;
}

// PyArg_ParseTuple, with its error as a C++ exception.
template<class... A>
void parse(PyObject* args, const char* format, A*... to) {
  if (!PyArg_ParseTuple(args, format, to...)) fail_set();
}
#define FB_CUDA_FUNCTION(name)                            \
  PyObject* name##_body([[maybe_unused]] PyObject* args); \
  PyObject* name(PyObject*, PyObject* args) {             \
    FB_TRY return name##_body(args);                      \
    FB_CATCH(nullptr)                                     \
  }                                                       \
  PyObject* name##_body([[maybe_unused]] PyObject* args)

FB_CUDA_FUNCTION(problem) { return PyUnicode_FromString(cuda::driver_problem().c_str()); }
FB_CUDA_FUNCTION(device_count) { return PyLong_FromLong(cuda::device_count()); }
FB_CUDA_FUNCTION(current_device) { return PyLong_FromLong(cuda::current_device()); }
FB_CUDA_FUNCTION(initialized) { return PyBool_FromLong(cuda::initialized()); }
FB_CUDA_FUNCTION(set_device) {
  int i;
  parse(args, "i", &i);
  cuda::set_device(device_arg(i));
  Py_RETURN_NONE;
}
FB_CUDA_FUNCTION(properties) {
  int i;
  parse(args, "i", &i);
  cuda::Gpu& g = cuda::gpu(device_arg(i));
  unsigned char uuid[16] = {};
  FB_CU(DeviceGetUuid, uuid, g.index);
  auto attribute = [&](int which) {
    int v = 0;
    return cuda::driver().DeviceGetAttribute(&v, which, g.index) == cuda::kSuccess ? v : 0;
  };
  constexpr int kSharedPerBlock = 8;
  return Py_BuildValue(
      "{s:s,s:K,s:i,s:i,s:i,s:i,s:i,s:i,s:i,s:i,s:i,s:i,s:y#}", "name", g.name.c_str(),
      "total_memory", (unsigned long long)(g.memory), "major", g.major, "minor", g.minor,
      "multi_processor_count", g.multiprocessors, "max_threads_per_multi_processor",
      g.threads_per_multiprocessor, "shared_memory_per_block_optin", g.shared_optin,
      "shared_memory_per_block", attribute(kSharedPerBlock), "shared_memory_per_multiprocessor",
      attribute(cuda::kSharedPerMultiprocessor), "regs_per_multiprocessor",
      attribute(cuda::kRegistersPerMultiprocessor), "L2_cache_size", attribute(cuda::kL2CacheBytes),
      "is_integrated", attribute(cuda::kIntegrated), "uuid", reinterpret_cast<char*>(uuid),
      Py_ssize_t(sizeof uuid));
}
FB_CUDA_FUNCTION(archs) { // that the compiler knows: [75, 80, ...]
  int n = 0;
  cuda::check(cuda::nvrtc().GetNumSupportedArchs(&n), "nvrtcGetNumSupportedArchs");
  std::vector<int> known(size_t(n), 0);
  cuda::check(cuda::nvrtc().GetSupportedArchs(known.data()), "nvrtcGetSupportedArchs");
  Obj list(check(PyList_New(n)));
  for (int i = 0; i < n; ++i)
    PyList_SET_ITEM(list.get(), i, check(PyLong_FromLong(known[size_t(i)])));
  return list.release();
}
FB_CUDA_FUNCTION(versions) { // of the libraries that are loaded now, loading them
  int driver = 0, major = 0, minor = 0;
  FB_CU(DriverGetVersion, &driver);
  cuda::check(cuda::nvrtc().Version(&major, &minor), "nvrtcVersion");
  return Py_BuildValue("{s:i,s:s,s:(ii),s:s,s:s}", "driver", driver, "driver_path",
                       cuda::driver().path.c_str(), "nvrtc", major, minor, "nvrtc_path",
                       cuda::nvrtc().path.c_str(), "cublas_path",
                       cuda::have_cublas() ? cuda::cublas().path.c_str() : "");
}
FB_CUDA_FUNCTION(can_access_peer) {
  int a, b, can = 0;
  parse(args, "ii", &a, &b);
  FB_CU(DeviceCanAccessPeer, &can, device_arg(a), device_arg(b));
  return PyBool_FromLong(can);
}
FB_CUDA_FUNCTION(synchronize) {
  int i;
  parse(args, "i", &i);
  cuda::synchronize(device_arg(i));
  Py_RETURN_NONE;
}

// Streams and events travel as the driver's handles.
FB_CUDA_FUNCTION(stream_create) {
  int i, priority;
  parse(args, "ii", &i, &priority);
  return from_handle(cuda::create_stream(device_arg(i), priority));
}
FB_CUDA_FUNCTION(default_stream) {
  int i;
  parse(args, "i", &i);
  return from_handle(cuda::gpu(device_arg(i)).stream);
}
FB_CUDA_FUNCTION(current_stream) {
  int i;
  parse(args, "i", &i);
  return from_handle(cuda::current_stream(device_arg(i)));
}
FB_CUDA_FUNCTION(set_stream) {
  int i;
  unsigned long long s;
  parse(args, "iK", &i, &s);
  cuda::set_stream(device_arg(i), handle(s));
  Py_RETURN_NONE;
}
FB_CUDA_FUNCTION(stream_synchronize) {
  int i;
  unsigned long long s;
  parse(args, "iK", &i, &s);
  cuda::gpu(device_arg(i));
  {
    cuda::Waiting wait;
    FB_CU(StreamSynchronize, handle(s));
  }
  Py_RETURN_NONE;
}
FB_CUDA_FUNCTION(stream_query) {
  int i;
  unsigned long long s;
  parse(args, "iK", &i, &s);
  cuda::gpu(device_arg(i));
  int code = cuda::driver().StreamQuery(handle(s));
  if (code != cuda::kNotReady) cuda::check(code, "cuStreamQuery");
  return PyBool_FromLong(code == cuda::kSuccess);
}
FB_CUDA_FUNCTION(stream_is_capturing) {
  int i, status = 0;
  unsigned long long s;
  parse(args, "iK", &i, &s);
  cuda::gpu(device_arg(i));
  FB_CU(StreamIsCapturing, handle(s), &status);
  return PyBool_FromLong(status != 0);
}
FB_CUDA_FUNCTION(stream_wait_event) {
  int i;
  unsigned long long s, e;
  parse(args, "iKK", &i, &s, &e);
  cuda::gpu(device_arg(i));
  FB_CU(StreamWaitEvent, handle(s), handle(e), 0);
  Py_RETURN_NONE;
}
FB_CUDA_FUNCTION(event_create) {
  int i, timing, blocking;
  parse(args, "ipp", &i, &timing, &blocking);
  cuda::gpu(device_arg(i));
  cuda::Handle e = nullptr;
  FB_CU(EventCreate, &e, (timing ? 0u : 2u) | (blocking ? 1u : 0u));
  return from_handle(e);
}
FB_CUDA_FUNCTION(event_destroy) {
  unsigned long long e;
  parse(args, "K", &e);
  try {
    cuda::driver().EventDestroy(handle(e));
  } catch (const Error&) {
    // In a forked child the event is its parent's.
  }
  Py_RETURN_NONE;
}
FB_CUDA_FUNCTION(event_record) {
  int i;
  unsigned long long e, s;
  parse(args, "iKK", &i, &e, &s);
  cuda::gpu(device_arg(i));
  FB_CU(EventRecord, handle(e), handle(s));
  Py_RETURN_NONE;
}
FB_CUDA_FUNCTION(event_query) {
  unsigned long long e;
  parse(args, "K", &e);
  int code = cuda::driver().EventQuery(handle(e));
  if (code != cuda::kNotReady) cuda::check(code, "cuEventQuery");
  return PyBool_FromLong(code == cuda::kSuccess);
}
FB_CUDA_FUNCTION(event_synchronize) {
  unsigned long long e;
  parse(args, "K", &e);
  {
    cuda::Waiting wait;
    FB_CU(EventSynchronize, handle(e));
  }
  Py_RETURN_NONE;
}
FB_CUDA_FUNCTION(event_elapsed) {
  unsigned long long a, b;
  parse(args, "KK", &a, &b);
  float ms = 0;
  FB_CU(EventElapsedTime, &ms, handle(a), handle(b));
  return PyFloat_FromDouble(ms);
}

FB_CUDA_FUNCTION(memory_stats) {
  int i;
  parse(args, "i", &i);
  cuda::PoolStats s = cuda::pool_stats(i < 0 ? cuda::current_device() : i);
  return Py_BuildValue("{s:L,s:L,s:L,s:L,s:L,s:L,s:L,s:L,s:L,s:L,s:L}", "allocated",
                       (long long)s.allocated, "allocated_peak", (long long)s.allocated_peak,
                       "reserved", (long long)s.reserved, "reserved_peak",
                       (long long)s.reserved_peak, "active", (long long)s.active, "active_peak",
                       (long long)s.active_peak, "allocations", (long long)s.allocations, "frees",
                       (long long)s.frees, "retries", (long long)s.retries, "out_of_memory",
                       (long long)s.out_of_memory, "segments", (long long)s.segments);
}
FB_CUDA_FUNCTION(memory_summary) {
  int i;
  parse(args, "i", &i);
  return PyUnicode_FromString(cuda::pool_summary(i < 0 ? cuda::current_device() : i).c_str());
}
FB_CUDA_FUNCTION(reset_peak) {
  int i;
  parse(args, "i", &i);
  cuda::reset_peak_stats(i < 0 ? cuda::current_device() : i);
  Py_RETURN_NONE;
}
FB_CUDA_FUNCTION(empty_cache) {
  if (cuda::initialized()) cuda::empty_cache();
  Py_RETURN_NONE;
}
FB_CUDA_FUNCTION(mem_get_info) {
  int i;
  parse(args, "i", &i);
  cuda::gpu(device_arg(i));
  size_t free = 0, total = 0;
  FB_CU(MemGetInfo, &free, &total);
  return Py_BuildValue("(KK)", (unsigned long long)free, (unsigned long long)total);
}
Tensor tensor_arg(PyObject* o) {
  FB_CHECK_TYPE(is_tensor(o), "expected a Tensor, but got ", Py_TYPE(o)->tp_name);
  return tensor_of(o);
}
FB_CUDA_FUNCTION(record_stream) {
  PyObject* o;
  unsigned long long s;
  parse(args, "OK", &o, &s);
  Tensor t = tensor_arg(o);
  if (t.is_cuda()) cuda::record_stream(t.device().index, t.storage().data, handle(s));
  Py_RETURN_NONE;
}
FB_CUDA_FUNCTION(pin_memory) {
  PyObject* o;
  parse(args, "O", &o);
  Tensor t = tensor_arg(o);
  FB_CHECK(t.device().is_cpu(), "cannot pin '", t.device(),
           "' memory: only dense CPU tensors can be pinned");
  if (cuda::is_pinned(t.bytes())) return Obj::borrow(o).release();
  NoGrad off;
  size_t n = size_t(t.numel()) * size_t(t.itemsize());
  void* p = cuda::allocate_pinned(n ? n : 1);
  Tensor r = empty({}, t.dtype());
  r.impl()->storage = Storage::borrow(p, n, p, cuda::deallocate_pinned);
  set_layout(*r.impl(), t.shape(), contiguous_strides(t.shape()), 0);
  copy_values(r, t);
  return wrap(r);
}
FB_CUDA_FUNCTION(is_pinned) {
  PyObject* o;
  parse(args, "O", &o);
  Tensor t = tensor_arg(o);
  return PyBool_FromLong(t.device().is_cpu() && cuda::is_pinned(t.bytes()));
}
// Graphs.
constexpr const char* kGraphCapsule = "flambeau.cuda.graph";
cuda::Graph* graph_arg(PyObject* o) {
  auto* g = static_cast<cuda::Graph*>(PyCapsule_GetPointer(o, kGraphCapsule));
  if (!g) fail_set();
  return g;
}
using SharedPool = std::shared_ptr<cuda::PrivatePool>;
constexpr const char* kPoolCapsule = "flambeau.cuda.pool";
FB_CUDA_FUNCTION(graph_pool) { // (graph) -> its pool, () -> a new one
  PyObject* o = nullptr;
  parse(args, "|O", &o);
  auto pool = std::make_unique<SharedPool>(o ? graph_arg(o)->pool()
                                             : cuda::make_private_pool(cuda::current_device()));
  return PyCapsule_New(pool.release(), kPoolCapsule, [](PyObject* c) {
    delete static_cast<SharedPool*>(PyCapsule_GetPointer(c, kPoolCapsule));
  });
}
FB_CUDA_FUNCTION(graph_begin) {
  int i, mode;
  PyObject* shared;
  parse(args, "iiO", &i, &mode, &shared);
  SharedPool pool;
  if (shared != Py_None) {
    auto* p = static_cast<SharedPool*>(PyCapsule_GetPointer(shared, kPoolCapsule));
    if (!p) fail_set();
    pool = *p;
  }
  auto g = std::make_unique<cuda::Graph>(device_arg(i));
  g->begin(mode, std::move(pool));
  return PyCapsule_New(g.release(), kGraphCapsule, [](PyObject* c) {
    delete static_cast<cuda::Graph*>(PyCapsule_GetPointer(c, kGraphCapsule));
  });
}
FB_CUDA_FUNCTION(graph_end) {
  PyObject* o;
  parse(args, "O", &o);
  graph_arg(o)->end();
  Py_RETURN_NONE;
}
FB_CUDA_FUNCTION(graph_replay) {
  PyObject* o;
  parse(args, "O", &o);
  graph_arg(o)->replay();
  Py_RETURN_NONE;
}
FB_CUDA_FUNCTION(is_capturing) {
  return PyBool_FromLong(cuda::initialized() && cuda::is_capturing(cuda::current_device()));
}

FB_CUDA_FUNCTION(setting) { // (name) reads, (name, value) sets
  const char* name;
  int value = -1;
  parse(args, "s|i", &name, &value);
  bool* s = cuda::settings().find(name);
  FB_CHECK_VALUE(s, "no CUDA setting is called ", name);
  if (value >= 0) *s = value != 0;
  return PyBool_FromLong(*s);
}
FB_CUDA_FUNCTION(launched) { return PyLong_FromLongLong(cuda::launched()); }
FB_CUDA_FUNCTION(compiled_kernels) {
  Obj list(check(PyList_New(0)));
  for (const cuda::Compiled& c : cuda::compiled_kernels()) {
    Obj row(Py_BuildValue("(sss)", c.label.c_str(), c.entry.c_str(), c.source.c_str()));
    if (!row || PyList_Append(list.get(), row.get()) < 0) fail_set();
  }
  return list.release();
}

#define FB_ENTRY(name) {"_cuda_" #name, name, METH_VARARGS, nullptr}
PyMethodDef functions[] = {FB_ENTRY(problem),
                           FB_ENTRY(device_count),
                           FB_ENTRY(current_device),
                           FB_ENTRY(initialized),
                           FB_ENTRY(set_device),
                           FB_ENTRY(properties),
                           FB_ENTRY(versions),
                           FB_ENTRY(archs),
                           FB_ENTRY(can_access_peer),
                           FB_ENTRY(synchronize),
                           FB_ENTRY(stream_create),
                           FB_ENTRY(default_stream),
                           FB_ENTRY(current_stream),
                           FB_ENTRY(set_stream),
                           FB_ENTRY(stream_synchronize),
                           FB_ENTRY(stream_query),
                           FB_ENTRY(stream_is_capturing),
                           FB_ENTRY(stream_wait_event),
                           FB_ENTRY(event_create),
                           FB_ENTRY(event_destroy),
                           FB_ENTRY(event_record),
                           FB_ENTRY(event_query),
                           FB_ENTRY(event_synchronize),
                           FB_ENTRY(event_elapsed),
                           FB_ENTRY(memory_stats),
                           FB_ENTRY(memory_summary),
                           FB_ENTRY(reset_peak),
                           FB_ENTRY(empty_cache),
                           FB_ENTRY(mem_get_info),
                           FB_ENTRY(record_stream),
                           FB_ENTRY(pin_memory),
                           FB_ENTRY(is_pinned),
                           FB_ENTRY(graph_pool),
                           FB_ENTRY(graph_begin),
                           FB_ENTRY(graph_end),
                           FB_ENTRY(graph_replay),
                           FB_ENTRY(is_capturing),
                           FB_ENTRY(setting),
                           FB_ENTRY(compiled_kernels),
                           FB_ENTRY(launched),
                           {nullptr, nullptr, 0, nullptr}};

} // namespace

void add_cuda(PyObject* module) {
  cuda::wheel_directories = wheel_directories;
  check(PyModule_AddFunctions(module, functions));
}

} // namespace flambeau::py
