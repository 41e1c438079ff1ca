// Finding and loading NVIDIA's libraries, and the texts for what goes wrong with them.
#include "driver.h"

#include <dlfcn.h>
#include <pthread.h>

#include <atomic>
#include <cstdlib>
#include <mutex>

#include "../core/error.h"
#include "launch.h"

namespace flambeau::cuda {

std::vector<std::string> (*wheel_directories)() = nullptr;

namespace {

constexpr const char* kInstall = "pip install 'flambeau[cuda]'";
constexpr int kOldestDriver = 12000;

std::vector<std::string> directories() {
  std::vector<std::string> dirs;
  if (const char* own = std::getenv("FLAMBEAU_CUDA_LIBS")) dirs.push_back(own);
  if (wheel_directories)
    for (std::string& d : wheel_directories()) dirs.push_back(std::move(d));
  dirs.push_back(""); // the loader's own search
  for (const char* root : {std::getenv("CUDA_HOME"), std::getenv("CUDA_PATH")})
    if (root) dirs.push_back(std::string(root) + "/lib64");
  dirs.push_back("/usr/local/cuda/lib64");
  return dirs;
}

// The first of `names` that loads from one of the directories; what failed goes to `tried`.
void* open_library(const std::vector<std::string>& dirs, std::initializer_list<const char*> names,
                   std::string& path, std::string& tried) {
  for (const char* name : names)
    for (const std::string& dir : dirs) {
      path = dir.empty() ? name : dir + "/" + name;
      if (void* h = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL)) return h;
      const char* why = dlerror();
      tried += "\n  " + path + ": " + (why ? why : "?");
    }
  path.clear();
  return nullptr;
}

template<class F>
bool resolve(void* library, F& field, const char* symbol, std::string& missing) {
  field = reinterpret_cast<F>(dlsym(library, symbol));
  if (!field) missing = symbol;
  return field != nullptr;
}
#define FB_RESOLVE(name, symbol, ...) ok = ok && resolve(h, t.name, #symbol, missing);

std::atomic<bool> forked{false};

struct LoadedDriver {
  Driver table;
  std::string problem;
};

LoadedDriver load_driver() {
  LoadedDriver d;
  Driver& t = d.table;
  std::vector<std::string> dirs;
  if (const char* own = std::getenv("FLAMBEAU_CUDA_LIBS")) dirs.push_back(own);
  dirs.push_back("");
  std::string tried, missing;
  void* h = open_library(dirs, {"libcuda.so.1"}, t.path, tried);
  if (!h) {
    d.problem = "no NVIDIA driver was found (it comes with the GPU's driver package, not from "
                "pip). Tried:" +
                tried;
    return d;
  }
  bool ok = true;
  FB_DRIVER_TABLE(FB_RESOLVE)
  if (!ok) {
    d.problem = "the NVIDIA driver " + t.path + " is too old: it has no " + missing +
                ". Install driver 525 or newer";
    return d;
  }
  int code = t.Init(0), version = 0;
  if (code != kSuccess) {
    const char* name = nullptr;
    t.GetErrorName(code, &name);
    d.problem = std::string("the NVIDIA driver ") + t.path +
                " does not start: " + (name ? name : "error") + " (" + std::to_string(code) + ")" +
                (code == kNoDevice ? ": it sees no GPU; look at nvidia-smi and at "
                                     "CUDA_VISIBLE_DEVICES"
                                   : "; look at nvidia-smi");
    return d;
  }
  t.DriverGetVersion(&version);
  if (version < kOldestDriver)
    d.problem = "the NVIDIA driver is too old: it supports CUDA " + std::to_string(version / 1000) +
                "." + std::to_string(version % 1000 / 10) +
                ", and Flambeau needs 12.0 (driver 525) or newer. Update the driver";
  pthread_atfork(nullptr, nullptr, [] { forked = true; });
  return d;
}

LoadedDriver& loaded_driver() {
  static LoadedDriver d = load_driver();
  return d;
}

template<class Table>
struct Loaded {
  Table table;
  std::string problem;
};

// NVRTC's builtins and cuBLAS's light half are found by their path before the library asks.
void preload(const std::vector<std::string>& dirs, std::initializer_list<const char*> names) {
  for (const char* name : names)
    for (const std::string& dir : dirs)
      if (!dir.empty() && dlopen((dir + "/" + name).c_str(), RTLD_NOW | RTLD_GLOBAL)) break;
}

Loaded<Nvrtc> load_nvrtc() {
  Loaded<Nvrtc> l;
  Nvrtc& t = l.table;
  std::string tried, missing;
  bool ok = true;
  void* h = open_library(directories(), {"libnvrtc.so.13", "libnvrtc.so.12"}, t.path, tried);
  if (!h) {
    l.problem = std::string("the kernel compiler NVRTC was not found. Run: ") + kInstall +
                "\nTried:" + tried;
    return l;
  }
  FB_NVRTC_TABLE(FB_RESOLVE)
  if (!ok) l.problem = "NVRTC at " + t.path + " is too old: it has no " + missing;
  return l;
}

Loaded<Cublas> load_cublas() {
  Loaded<Cublas> l;
  Cublas& t = l.table;
  std::string tried, missing;
  bool ok = true;
  std::vector<std::string> dirs = directories();
  const char* major = nvrtc().path.ends_with("12") ? "12" : "13";
  std::string light = std::string("libcublasLt.so.") + major,
              name = std::string("libcublas.so.") + major;
  preload(dirs, {light.c_str()});
  void* h = open_library(dirs, {name.c_str()}, t.path, tried);
  if (!h) {
    l.problem = std::string("cuBLAS was not found. Run: ") + kInstall + "\nTried:" + tried;
    return l;
  }
  FB_CUBLAS_TABLE(FB_RESOLVE)
  if (!ok) l.problem = "cuBLAS at " + t.path + " is too old: it has no " + missing;
  return l;
}

// Once, without a lock: a load asks Python for directories, which may wait for the GIL.
template<class T>
const Loaded<T>& once(std::atomic<const Loaded<T>*>& slot, Loaded<T> (*load)()) {
  if (auto* l = slot.load()) return *l;
  auto* fresh = new Loaded<T>(load());
  const Loaded<T>* none = nullptr;
  if (!slot.compare_exchange_strong(none, fresh)) delete fresh;
  return *slot.load();
}
std::atomic<const Loaded<Nvrtc>*> nvrtc_slot;
std::atomic<const Loaded<Cublas>*> cublas_slot;

} // namespace

const std::string& driver_problem() { return loaded_driver().problem; }

const Driver& driver() {
  LoadedDriver& d = loaded_driver();
  FB_CHECK(d.problem.empty(), "CUDA is not available: ", d.problem);
  FB_CHECK(!forked.load(std::memory_order_relaxed),
           "Cannot use CUDA in a forked process: the driver does not survive fork(). Use "
           "multiprocessing's 'spawn' start method, or touch CUDA only after the fork");
  return d.table;
}

const Nvrtc& nvrtc() {
  const Loaded<Nvrtc>& l = once(nvrtc_slot, load_nvrtc);
  FB_CHECK(l.problem.empty(), "CUDA is not usable: ", l.problem);
  return l.table;
}

bool have_cublas() { return once(cublas_slot, load_cublas).problem.empty(); }
const Cublas& cublas() {
  const Loaded<Cublas>& l = once(cublas_slot, load_cublas);
  FB_CHECK(l.problem.empty(), "CUDA matrix products: ", l.problem);
  return l.table;
}

void fail_call(int code, const char* call) {
  const Driver& d = loaded_driver().table;
  const char *name = nullptr, *text = nullptr;
  if (d.GetErrorName) d.GetErrorName(code, &name);
  if (d.GetErrorString) d.GetErrorString(code, &text);
  std::string s = cat_str("CUDA error: ", text ? text : "unknown", " (", name ? name : "?", ", ",
                          code, ") in ", call);
  // From 700 on the context itself is lost.
  if (code >= 700 && code < 900)
    s += ". The kernels launched last: " + last_kernels() +
         ". Kernels run behind the program: FLAMBEAU_CUDA_LAUNCH_BLOCKING=1 stops at the one that "
         "failed. This process cannot use the GPU again";
  fail(code == kOutOfMemory ? ErrorKind::Memory : ErrorKind::Runtime, s);
}

} // namespace flambeau::cuda
