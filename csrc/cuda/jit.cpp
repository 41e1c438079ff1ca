// Kernel texts to machine code: assembled, compiled by NVRTC, and kept in memory and on disk.
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <mutex>
#include <set>
#include <unordered_map>

#include "../core/error.h"
#include "launch.h"
#include "texts.h"

namespace flambeau::cuda {

const char* text_of(std::string_view file) {
  for (const Text* t = kTexts; t->name; ++t)
    if (file == t->name) return t->text;
  return nullptr;
}

namespace {

struct StringHash {
  using is_transparent = void;
  size_t operator()(std::string_view s) const { return std::hash<std::string_view>()(s); }
};

struct Entry { // kernels of one device, by file, entry and definitions
  std::unordered_map<std::string, std::unique_ptr<Kernel>, StringHash, std::equal_to<>> kernels;
};
std::mutex mutex;
std::array<Entry, 64> devices;
std::vector<Compiled> compiled;

std::array<std::atomic<const Kernel*>, 6> recent;
std::atomic<unsigned> launches{0};

std::vector<std::string> words(std::string_view s) {
  std::vector<std::string> r;
  std::string word;
  for (char c : std::string(s) + " ")
    if (c != ' ' && c != '\n')
      word += c;
    else if (!word.empty())
      r.push_back(std::move(word)), word.clear();
  return r;
}

// The files named by "//! needs: a b" in the first line that has it, each before those that need
// it; lines that the device compiler must not see are dropped.
void append_file(std::string_view name, std::set<std::string>& done, std::string& out) {
  if (!done.insert(std::string(name)).second) return;
  const char* text = text_of(name);
  FB_CHECK(text, "internal error: no kernel text is called ", std::string(name));
  std::string body;
  for (std::string_view rest = text; !rest.empty();) {
    size_t end = std::min(rest.find('\n'), rest.size() - 1);
    std::string_view line = rest.substr(0, end + 1);
    rest.remove_prefix(end + 1);
    constexpr std::string_view kNeeds = "//! needs:";
    if (line.starts_with(kNeeds)) {
      line.remove_prefix(kNeeds.size());
      for (const std::string& n : words(line)) append_file(n, done, out);
    } else if (!line.starts_with("#include") && !line.starts_with("#pragma once")) {
      body += line;
    }
  }
  out += body;
}

struct Target {
  std::string arch; // sm_90: machine code; compute_90: PTX, translated by the driver
  bool ptx = false;
};

Target target_for(const Gpu& g) {
  const char* jit = std::getenv("FLAMBEAU_CUDA_JIT");
  int want = g.major * 10 + g.minor, count = 0, best = 0;
  check(nvrtc().GetNumSupportedArchs(&count), "nvrtcGetNumSupportedArchs");
  std::vector<int> archs(size_t(count), 0);
  check(nvrtc().GetSupportedArchs(archs.data()), "nvrtcGetSupportedArchs");
  for (int a : archs)
    if (a <= want) best = std::max(best, a);
  FB_CHECK(best, "the GPU ", g.name, " (compute capability ", g.major, ".", g.minor,
           ") is too old for the installed kernel compiler, whose oldest is ",
           archs.empty() ? 0 : archs[0] / 10,
           ".x; install the compiler of CUDA 12: pip install 'flambeau[cuda12]'");
  bool exact = best == want && !(jit && std::string_view(jit) == "ptx");
  return {(exact ? "sm_" : "compute_") + std::to_string(best), !exact};
}

std::string compile(const std::string& label, const std::string& source, const Target& target) {
  const Nvrtc& n = nvrtc();
  Handle program = nullptr;
  check(n.CreateProgram(&program, source.c_str(), (label + ".cu").c_str(), 0, nullptr, nullptr),
        "nvrtcCreateProgram");
  std::string arch = "--gpu-architecture=" + target.arch;
  // Contraction is off as on the CPU; kernels that profit from fma say so.
  const char* options[] = {arch.c_str(), "--std=c++20", "--fmad=false", "-default-device"};
  int code = n.CompileProgram(program, 4, options);
  std::string result;
  size_t size = 0;
  if (code != kSuccess) {
    n.GetProgramLogSize(program, &size);
    result.resize(size);
    n.GetProgramLog(program, result.data());
  } else if (target.ptx) {
    n.GetPTXSize(program, &size);
    result.resize(size);
    code = n.GetPTX(program, result.data());
  } else {
    n.GetCUBINSize(program, &size);
    result.resize(size);
    code = n.GetCUBIN(program, result.data());
  }
  n.DestroyProgram(&program);
  FB_CHECK(code == kSuccess, "internal error: the GPU kernel ", label, " does not compile for ",
           target.arch, " (NVRTC error ", code, "):\n", result);
  return result;
}

// Plain C files: the stream classes of the C++ library would make the module 1.6 MB larger.
struct File {
  FILE* f;
  File(const std::string& path, const char* mode) : f(std::fopen(path.c_str(), mode)) {}
  ~File() {
    if (f) std::fclose(f);
  }
};

std::string cache_directory() {
  if (const char* own = std::getenv("FLAMBEAU_CACHE_DIR")) return own;
  if (const char* xdg = std::getenv("XDG_CACHE_HOME")) return std::string(xdg) + "/flambeau";
  const char* home = std::getenv("HOME");
  return home ? std::string(home) + "/.cache/flambeau" : "";
}

void make_directories(const std::string& path) {
  for (size_t at = path.find('/', 1); at != path.npos; at = path.find('/', at + 1))
    mkdir(path.substr(0, at).c_str(), 0777); // one that exists is as good
  mkdir(path.c_str(), 0777);
}

// A cache file holds its whole key before the code, so that equal hashes cannot be confused.
std::string read_cached(const std::string& path, const std::string& key) {
  File in(path, "rb");
  std::string s;
  char buffer[65536];
  while (in.f)
    if (size_t n = std::fread(buffer, 1, sizeof buffer, in.f))
      s.append(buffer, n);
    else
      break;
  if (s.size() <= key.size() || s.compare(0, key.size(), key) != 0) return {};
  return s.substr(key.size());
}
// A cache that cannot be written is no cache; a half-written file never gets the name.
void write_cached(const std::string& directory, const std::string& path, const std::string& key,
                  const std::string& code) {
  static std::atomic<int> serial{0};
  make_directories(directory);
  std::string part = cat_str(path, ".", int(getpid()), ".", serial++);
  bool whole = false;
  {
    File out(part, "wb");
    whole = out.f && std::fwrite(key.data(), 1, key.size(), out.f) == key.size() &&
            std::fwrite(code.data(), 1, code.size(), out.f) == code.size() &&
            std::fflush(out.f) == 0;
  }
  if (!whole || std::rename(part.c_str(), path.c_str()) != 0) unlink(part.c_str());
}

std::string code_for(const std::string& label, const std::string& source, const Target& target) {
  std::string dir = cache_directory();
  if (dir.empty()) return compile(label, source, target);
  dir += "/kernels";
  int major = 0, minor = 0;
  nvrtc().Version(&major, &minor);
  std::string key = cat_str("flambeau 1 ", target.arch, " nvrtc ", major, ".", minor, "\n", source);
  key += '\0';
  char name[32];
  std::snprintf(name, sizeof name, "/%016zx", std::hash<std::string>()(key));
  std::string code = read_cached(dir + name, key);
  if (!code.empty()) return code;
  code = compile(label, source, target);
  write_cached(dir, dir + name, key, code);
  return code;
}

std::unique_ptr<Kernel> build(int device, const std::string& label, const char* entry,
                              const std::string& source) {
  Gpu& g = gpu(device);
  std::string code;
  {
    Waiting wait;
    code = code_for(label, source, target_for(g));
  }
  auto k = std::make_unique<Kernel>();
  k->name = label;
  Handle module = nullptr;
  CaptureRelaxed relaxed;
  FB_CU(ModuleLoadData, &module, code.data());
  FB_CU(ModuleGetFunction, &k->function, module, entry);
  return k;
}

template<class MakeSource>
Kernel& find(int device, const std::string& key, const std::string& label, const char* entry,
             MakeSource&& source) {
  {
    std::lock_guard lock(mutex);
    auto& map = devices[size_t(device)].kernels;
    auto it = map.find(key);
    if (it != map.end()) return *it->second;
  }
  std::string text = source();
  auto k = build(device, label, entry, text);
  std::lock_guard lock(mutex);
  compiled.push_back({label, entry, text});
  auto& slot = devices[size_t(device)].kernels[key];
  if (!slot) slot = std::move(k); // else another thread was first
  return *slot;
}

} // namespace

Kernel& kernel(int device, const char* file, const char* entry, const std::string& definitions) {
  std::string key = std::string(file) + "/" + entry + "\n" + definitions;
  return find(device, key, std::string(file) + "." + entry, entry, [&] {
    std::set<std::string> done;
    std::string text = definitions;
    append_file(file + std::string(".cuh"), done, text);
    return text;
  });
}

Kernel& kernel_of_text(int device, const std::string& label, const char* entry,
                       const std::string& definitions, const std::vector<const char*>& needs,
                       const char* file) {
  return find(device, file + definitions, label, entry, [&] {
    std::set<std::string> done;
    std::string all, last;
    for (const char* n : needs) append_file(n, done, all);
    append_file(file, done, last); // what it needs itself is in `needs`
    return all + definitions + last;
  });
}

bool launch_blocking() {
  static const bool on = [] {
    const char* v = std::getenv("FLAMBEAU_CUDA_LAUNCH_BLOCKING");
    return v && *v && *v != '0';
  }();
  return on;
}

void launch_raw(Kernel& k, int device, Grid grid, Grid block, size_t shared, void** arguments) {
  Handle stream = current_stream(device);
  recent[launches++ % recent.size()] = &k;
  int code = driver().LaunchKernel(k.function, unsigned(grid.x), unsigned(grid.y), unsigned(grid.z),
                                   unsigned(block.x), unsigned(block.y), unsigned(block.z),
                                   unsigned(shared), stream, arguments, nullptr);
  if (code != kSuccess) [[unlikely]]
    fail_call(code, ("the launch of kernel " + k.name).c_str());
  if (launch_blocking()) [[unlikely]]
    check(driver().StreamSynchronize(stream), ("kernel " + k.name).c_str());
}

Grid blocks_for(int device, int64_t n, int threads) {
  Gpu& g = gpu(device);
  int64_t most = int64_t(g.multiprocessors) * (g.threads_per_multiprocessor / threads) * 4;
  return {std::clamp<int64_t>(ceil_div(n, threads), 1, std::max<int64_t>(most, 1))};
}

const char* type_name(DType t) {
  static const char* names[kDTypes] = {"bool",    "uint8_t",  "int8_t",   "int16_t",  "int32_t",
                                       "int64_t", "uint16_t", "uint32_t", "uint64_t", "f16",
                                       "bf16",    "float",    "double",   "c64",      "c128"};
  return names[int(t)];
}

int64_t launched() { return launches; }

std::string last_kernels() {
  std::string s;
  unsigned n = launches;
  for (unsigned i = 0; i < recent.size() && i < n; ++i)
    if (const Kernel* k = recent[(n - 1 - i) % recent.size()]) s += (i ? ", " : "") + k->name;
  return s.empty() ? "none" : s;
}

std::vector<Compiled> compiled_kernels() {
  std::lock_guard lock(mutex);
  return compiled;
}

} // namespace flambeau::cuda
