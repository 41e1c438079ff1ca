// A stand-in for libcublas.so.13: column-major products on the CPU, in the order of the stream.
#include <algorithm>
#include <complex>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <dlfcn.h>
#include <string>
#include <vector>

#include "half.h"

#define BLAS_API extern "C" __attribute__((visibility("default")))

namespace {

using namespace cudasim;

enum Status { kOk = 0, kNoInit = 1, kBadValue = 7, kFailed = 13, kUnsupported = 15 };
enum DataType { R32F = 0, R64F = 1, R16F = 2, R8I = 3, C32F = 4, C64F = 5, R32I = 10, R16BF = 14 };
enum Compute { Float = 68, DoubleWide = 70, Integer = 72, Tf32 = 77 };

// The simulated driver that lies beside this library.
struct Hooks {
  int (*enqueue)(void*, void (*)(void*), void*, void (*)(void*)) = nullptr;
  void* (*view)(uint64_t, size_t) = nullptr;
  void (*raise)(int, const char*) = nullptr;

  Hooks() {
    Dl_info info{};
    if (!dladdr(reinterpret_cast<void*>(&anchor), &info)) return;
    std::string path = info.dli_fname;
    path = path.substr(0, path.find_last_of('/') + 1) + "libcuda.so.1";
    void* lib = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
    load(lib, "cudasim_enqueue_owned", enqueue);
    load(lib, "cudasim_view", view);
    load(lib, "cudasim_raise", raise);
  }
  bool complete() const { return enqueue && view && raise; }

 private:
  template<class F>
  static void load(void* lib, const char* name, F& f) {
    if (lib) f = reinterpret_cast<F>(dlsym(lib, name));
  }
  static void anchor() {}
};

const Hooks& hooks() {
  static const Hooks h;
  return h;
}

struct Handle {
  void* stream = nullptr;
  int math_mode = 0;
};

struct Matrix {
  uint64_t at = 0; // of the first matrix, or of the array of addresses
  int type = 0;
  int64_t ld = 0, stride = 0;
  int64_t rows = 0, columns = 0; // as stored
};

struct Job {
  bool ta = false, tb = false, ca = false, cb = false;
  int64_t m = 0, n = 0, k = 0, batch = 1;
  bool arrays = false;
  int compute = 0;
  Matrix a, b, c;
  unsigned char alpha[16] = {}, beta[16] = {};
};

size_t bytes_of(int type) {
  switch (type) {
  case R8I: return 1;
  case R16F:
  case R16BF: return 2;
  case R64F:
  case C32F: return 8;
  case C64F: return 16;
  default: return 4;
  }
}

size_t extent(const Matrix& x) {
  return x.rows && x.columns ? size_t(x.ld * (x.columns - 1) + x.rows) * bytes_of(x.type) : 0;
}

template<class T>
T read(const uint8_t* p) {
  T v;
  std::memcpy(&v, p, sizeof v);
  return v;
}

template<class T>
T load_as(const uint8_t* p, int type) {
  switch (type) {
  case R16F: return T(float_of_f16(read<uint16_t>(p)));
  case R16BF: return T(BF16::to_float(read<uint16_t>(p)));
  case R8I: return T(read<int8_t>(p));
  case R32F: return T(read<float>(p));
  case R32I: return T(read<int32_t>(p));
  default: return read<T>(p);
  }
}

template<class T>
void store_as(uint8_t* p, int type, T v) {
  auto put = [&](auto x) { std::memcpy(p, &x, sizeof x); };
  if constexpr (std::is_arithmetic_v<T>) {
    if (type == R16F) return put(nearest_f16(float(v)));
    if (type == R16BF) return put(nearest_bf16(float(v)));
    if (type == R32F) return put(float(v));
  }
  put(v);
}

template<class T>
T conjugate(T v) {
  return v;
}
template<class T>
std::complex<T> conjugate(std::complex<T> v) {
  return std::conj(v);
}

float to_tf32(float v) {
  uint32_t bits = as_bits(v);
  return (bits >> 23 & 255) == 255 ? v : as_float((bits + 0x1000) & ~0x1fffu);
}
template<class T>
T rounded(T v) {
  return v;
}
template<>
float rounded(float v) {
  return to_tf32(v);
}
template<>
std::complex<float> rounded(std::complex<float> v) {
  return {to_tf32(v.real()), to_tf32(v.imag())};
}

// op(x) as a dense column-major matrix of the compute type.
template<class T>
std::vector<T> dense(const Matrix& x, const uint8_t* p, bool transpose, bool conj, bool tf32) {
  int64_t rows = transpose ? x.columns : x.rows, columns = transpose ? x.rows : x.columns;
  std::vector<T> out(size_t(rows * columns));
  size_t size = bytes_of(x.type);
  for (int64_t j = 0; j < columns; ++j)
    for (int64_t i = 0; i < rows; ++i) {
      int64_t from = transpose ? j + i * x.ld : i + j * x.ld;
      T v = load_as<T>(p + size_t(from) * size, x.type);
      if (conj) v = conjugate(v);
      out[size_t(i + j * rows)] = tf32 ? rounded(v) : v;
    }
  return out;
}

template<class T>
T multiply(T x, T y) {
  return x * y;
}
// without the library's care for infinities, as the device computes
template<class T>
std::complex<T> multiply(std::complex<T> x, std::complex<T> y) {
  return {x.real() * y.real() - x.imag() * y.imag(), x.real() * y.imag() + x.imag() * y.real()};
}

uint8_t* place(uint64_t at, size_t bytes) {
  if (!bytes) return nullptr;
  void* p = hooks().view(at, bytes);
  if (!p) hooks().raise(kIllegalAddress, "cuBLAS: a matrix lies outside its allocation");
  return static_cast<uint8_t*>(p);
}

template<class T>
void product(const Job& job, uint64_t at_a, uint64_t at_b, uint64_t at_c) {
  T alpha = read<T>(job.alpha), beta = read<T>(job.beta);
  int64_t m = job.m, n = job.n, k = job.k;
  std::vector<T> a, b, sum(static_cast<size_t>(m));
  bool reads = alpha != T(0) && k > 0;
  if (reads) {
    bool tf32 = job.compute == Tf32;
    a = dense<T>(job.a, place(at_a, extent(job.a)), job.ta, job.ca, tf32);
    b = dense<T>(job.b, place(at_b, extent(job.b)), job.tb, job.cb, tf32);
  }
  uint8_t* c = place(at_c, extent(job.c));
  size_t size = bytes_of(job.c.type);
  for (int64_t j = 0; j < n; ++j) {
    std::fill(sum.begin(), sum.end(), T(0));
    for (int64_t p = 0; reads && p < k; ++p) {
      const T* column = a.data() + p * m;
      T factor = b[size_t(p + j * k)];
      for (int64_t i = 0; i < m; ++i) sum[size_t(i)] += multiply(column[i], factor);
    }
    for (int64_t i = 0; i < m; ++i) {
      uint8_t* to = c + size_t(i + j * job.c.ld) * size;
      T v = reads ? multiply(alpha, sum[size_t(i)]) : T(0);
      if (beta != T(0)) v += multiply(beta, load_as<T>(to, job.c.type)); // else it is not read
      store_as(to, job.c.type, v);
    }
  }
}

template<class T>
void products(const Job& job) {
  auto at = [&](const Matrix& x, int64_t i) {
    if (!job.arrays) return x.at + uint64_t(i * x.stride) * bytes_of(x.type);
    return read<uint64_t>(place(x.at + uint64_t(i) * 8, 8));
  };
  for (int64_t i = 0; i < job.batch; ++i) product<T>(job, at(job.a, i), at(job.b, i), at(job.c, i));
}

void run(void* arg) {
  const Job& job = *static_cast<const Job*>(arg);
  switch (job.a.type) {
  case R64F: return products<double>(job);
  case C32F: return products<std::complex<float>>(job);
  case C64F: return products<std::complex<double>>(job);
  default: return job.compute == Integer ? products<int32_t>(job) : products<float>(job);
  }
}

int complain(Status s, const std::string& text) {
  std::fprintf(stderr, "cublas stand-in: %s\n", text.c_str());
  return s;
}

// The combinations of types that cuBLAS documents for these compute types.
bool supported(const Job& j) {
  int a = j.a.type, c = j.c.type;
  if (j.b.type != a) return false;
  switch (j.compute) {
  case Float:
    return ((a == R16F || a == R16BF) && (c == a || c == R32F)) || (a == R8I && c == R32F) ||
           ((a == R32F || a == C32F) && c == a);
  case Tf32: return (a == R32F || a == C32F) && c == a;
  case DoubleWide: return (a == R64F || a == C64F) && c == a;
  case Integer: return a == R8I && c == R32I && j.a.ld % 4 == 0 && j.b.ld % 4 == 0;
  default: return false;
  }
}

size_t scalar_bytes(const Job& j) { return std::max<size_t>(4, bytes_of(j.a.type)); }

// An array of matrices is checked when it runs: its addresses may be written until then.
int check_places(const Job& j) {
  if (!hooks().complete()) return kNoInit;
  auto outside = [&](const Matrix& x) {
    size_t one = extent(x), size = bytes_of(x.type);
    if (!one) return false;
    if (x.at % size) return true;
    for (int64_t i : {int64_t(0), j.batch - 1})
      if (!hooks().view(j.arrays ? x.at : x.at + uint64_t(i * x.stride) * size,
                        j.arrays ? size_t(j.batch) * 8 : one))
        return true;
    return false;
  };
  const char* const names = "ABC";
  const Matrix* const all[] = {&j.a, &j.b, &j.c};
  for (int i = 0; i < 3; ++i)
    if ((i == 2 || j.k > 0) && outside(*all[i]))
      return complain(kFailed, std::string("matrix ") + names[i] +
                                   " does not lie within a device allocation");
  return kOk;
}

int submit(void* handle, int ta, int tb, Job job, const void* alpha, const void* beta) {
  if (!handle) return kNoInit;
  if (job.m < 0 || job.n < 0 || job.k < 0 || job.batch < 0)
    return complain(kBadValue, "a size is negative");
  if (ta < 0 || ta > 2 || tb < 0 || tb > 2) return complain(kBadValue, "op is not N, T or C");
  if (!alpha || !beta) return complain(kBadValue, "alpha or beta is null");
  job.ta = ta != 0, job.ca = ta == 2, job.tb = tb != 0, job.cb = tb == 2;
  job.a.rows = ta ? job.k : job.m, job.a.columns = ta ? job.m : job.k;
  job.b.rows = tb ? job.n : job.k, job.b.columns = tb ? job.k : job.n;
  job.c.rows = job.m, job.c.columns = job.n;
  for (const Matrix* x : {&job.a, &job.b, &job.c})
    if (x->ld < std::max<int64_t>(1, x->rows))
      return complain(kBadValue, "a leading dimension of " + std::to_string(x->ld) +
                                     " for matrices of " + std::to_string(x->rows) + " rows");
  if (!supported(job)) return complain(kUnsupported, "this combination of types");
  if (!job.m || !job.n || !job.batch) return kOk;
  std::memcpy(job.alpha, alpha, scalar_bytes(job));
  std::memcpy(job.beta, beta, scalar_bytes(job));
  if (int bad = check_places(job)) return bad;
  auto destroy = [](void* p) { delete static_cast<Job*>(p); };
  return hooks().enqueue(static_cast<Handle*>(handle)->stream, run, new Job(job), destroy) ? kFailed
                                                                                           : kOk;
}

Matrix matrix(const void* p, int type, int64_t ld, int64_t stride = 0) {
  Matrix x;
  x.at = reinterpret_cast<uint64_t>(p);
  x.type = type;
  x.ld = ld;
  x.stride = stride;
  return x;
}

} // namespace

BLAS_API int cublasCreate_v2(void** out) {
  if (!hooks().complete()) return kNoInit;
  *out = new Handle;
  return kOk;
}
BLAS_API int cublasDestroy_v2(void* handle) {
  if (!handle) return kNoInit;
  delete static_cast<Handle*>(handle);
  return kOk;
}
BLAS_API int cublasSetStream_v2(void* handle, void* stream) {
  if (!handle) return kNoInit;
  static_cast<Handle*>(handle)->stream = stream;
  return kOk;
}
BLAS_API int cublasGetStream_v2(void* handle, void** stream) {
  if (!handle) return kNoInit;
  *stream = static_cast<Handle*>(handle)->stream;
  return kOk;
}
BLAS_API int cublasSetWorkspace_v2(void* handle, void* workspace, size_t bytes) {
  if (!handle) return kNoInit;
  if (bytes && !hooks().view(reinterpret_cast<uint64_t>(workspace), bytes))
    return complain(kBadValue, "the workspace does not lie within a device allocation");
  return kOk;
}
BLAS_API int cublasSetMathMode(void* handle, int mode) {
  if (!handle) return kNoInit;
  static_cast<Handle*>(handle)->math_mode = mode;
  return kOk;
}
BLAS_API int cublasGetMathMode(void* handle, int* mode) {
  if (!handle) return kNoInit;
  *mode = static_cast<Handle*>(handle)->math_mode;
  return kOk;
}
BLAS_API int cublasSetPointerMode_v2(void* handle, int mode) {
  if (!handle) return kNoInit;
  return mode == 0 ? int(kOk) : complain(kUnsupported, "alpha and beta in device memory");
}
BLAS_API int cublasGetVersion_v2(void*, int* version) {
  *version = 130100;
  return kOk;
}
BLAS_API const char* cublasGetStatusString(int status) {
  switch (status) {
  case kOk: return "success";
  case kNoInit: return "the library was not initialized";
  case kBadValue: return "an invalid value was passed";
  case kFailed: return "the execution failed";
  case kUnsupported: return "the functionality is not supported";
  default: return "unknown status";
  }
}

BLAS_API int cublasGemmEx(void* handle, int ta, int tb, int m, int n, int k, const void* alpha,
                          const void* a, int type_a, int lda, const void* b, int type_b, int ldb,
                          const void* beta, void* c, int type_c, int ldc, int compute, int) {
  Job job;
  job.m = m, job.n = n, job.k = k, job.compute = compute;
  job.a = matrix(a, type_a, lda);
  job.b = matrix(b, type_b, ldb);
  job.c = matrix(c, type_c, ldc);
  return submit(handle, ta, tb, job, alpha, beta);
}

BLAS_API int cublasGemmStridedBatchedEx(void* handle, int ta, int tb, int m, int n, int k,
                                        const void* alpha, const void* a, int type_a, int lda,
                                        long long stride_a, const void* b, int type_b, int ldb,
                                        long long stride_b, const void* beta, void* c, int type_c,
                                        int ldc, long long stride_c, int batch, int compute, int) {
  Job job;
  job.m = m, job.n = n, job.k = k, job.batch = batch, job.compute = compute;
  job.a = matrix(a, type_a, lda, stride_a);
  job.b = matrix(b, type_b, ldb, stride_b);
  job.c = matrix(c, type_c, ldc, stride_c);
  return submit(handle, ta, tb, job, alpha, beta);
}

BLAS_API int cublasGemmBatchedEx(void* handle, int ta, int tb, int m, int n, int k,
                                 const void* alpha, const void* const* a, int type_a, int lda,
                                 const void* const* b, int type_b, int ldb, const void* beta,
                                 void* const* c, int type_c, int ldc, int batch, int compute, int) {
  Job job;
  job.m = m, job.n = n, job.k = k, job.batch = batch, job.compute = compute;
  job.arrays = true;
  job.a = matrix(a, type_a, lda);
  job.b = matrix(b, type_b, ldb);
  job.c = matrix(c, type_c, ldc);
  return submit(handle, ta, tb, job, alpha, beta);
}

// Sgemm follows the math mode of the handle: 3 allows TF32.
BLAS_API int cublasSgemm_v2(void* handle, int ta, int tb, int m, int n, int k, const float* alpha,
                            const float* a, int lda, const float* b, int ldb, const float* beta,
                            float* c, int ldc) {
  bool tf32 = handle && static_cast<Handle*>(handle)->math_mode == 3;
  return cublasGemmEx(handle, ta, tb, m, n, k, alpha, a, R32F, lda, b, R32F, ldb, beta, c, R32F,
                      ldc, tf32 ? Tf32 : Float, -1);
}
