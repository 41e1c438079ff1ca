// Storage, TensorImpl and the Tensor handle: bytes, the view on them, and autograd's metadata.
#pragma once
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "device.h"
#include "dtype.h"
#include "ref.h"
#include "small_vec.h"

namespace flambeau {

struct Node;
class Tensor;

// Owned or borrowed bytes. Every view of them shares `version`, which counts in-place writes.
struct Storage : Counted<Storage> {
  void* data = nullptr;
  size_t nbytes = 0;
  Device device;
  bool readonly = false;
  bool resizable = true;
  uint32_t version = 0;
  void (*deleter)(void* owner) = nullptr; // for borrowed bytes; owned ones go to the allocator
  void* owner = nullptr;

  static Ref<Storage> create(size_t nbytes, Device device);
  static Ref<Storage> borrow(void* data, size_t nbytes, void* owner, void (*deleter)(void*));
  static void destroy(Storage* s);
  void resize(size_t nbytes); // keeps the content
};

// What autograd knows of a tensor; most tensors have none.
struct AutogradMeta;

struct TensorImpl {
  Ref<Storage> storage;
  Dims shape, strides; // in elements
  int64_t offset = 0;
  int64_t numel = 0;
  DType dtype = DType::F32;
  bool contiguous = true;
  bool weak = false;         // made from a Python number: does not decide the result's dtype
  bool untracked = false;    // made by `.data`: writes do not count in the version
  bool inference = false;    // made under inference_mode
  Ref<TensorImpl> base;      // of a differentiable view: the tensor it is a view of
  uint32_t view_version = 0; // of a view: the storage's version when its grad_fn was made
  std::unique_ptr<AutogradMeta> meta;
  void* pyobj = nullptr; // the Python object, which then owns the count

  TensorImpl() = default;
  ~TensorImpl();
  void retain() {
    if (pyobj)
      py_retain(pyobj);
    else
      ++refs_;
  }
  void release() {
    if (pyobj)
      py_release(pyobj);
    else if (--refs_ == 0)
      destroy(this);
  }
  uint32_t refs() const { return refs_; }
  static void destroy(TensorImpl* t);
  static TensorImpl* create();
  // Filled by the Python binding: counting goes through the Python object once there is one.
  static void (*py_retain)(void*);
  static void (*py_release)(void*);

 private:
  uint32_t refs_ = 1;
};

class Tensor {
 public:
  Tensor() = default;
  explicit Tensor(TensorImpl* p) : p_(p) {}
  static Tensor adopt(TensorImpl* p) {
    Tensor t;
    t.p_ = Ref<TensorImpl>::adopt(p);
    return t;
  }
  bool defined() const { return bool(p_); }
  TensorImpl* impl() const { return p_.get(); }
  TensorImpl* release() { return p_.detach(); }
  void reset() { p_.reset(); }
  bool is(const Tensor& o) const { return p_ == o.p_; }

  const Dims& shape() const { return p_->shape; }
  const Dims& strides() const { return p_->strides; }
  int64_t offset() const { return p_->offset; }
  int dim() const { return p_->shape.size(); }
  int64_t numel() const { return p_->numel; }
  int64_t size(int64_t d) const; // negative d counts from the end
  int64_t stride(int64_t d) const;
  DType dtype() const { return p_->dtype; }
  int itemsize() const { return size_of(p_->dtype); }
  Device device() const { return p_->storage->device; }
  bool is_meta() const { return device().is_meta(); }
  bool is_cuda() const { return device().is_cuda(); }
  bool is_contiguous() const { return p_->contiguous; }
  Storage& storage() const { return *p_->storage; }
  uint32_t version() const { return p_->storage->version; }
  void bump_version() const {
    if (!p_->untracked) ++p_->storage->version;
  }
  char* bytes() const {
    if (!p_->storage->device.is_cpu()) [[unlikely]]
      no_data(p_->storage->device);
    return static_cast<char*>(p_->storage->data) + p_->offset * itemsize();
  }
  [[noreturn]] static void no_data(Device d); // for the host to read
  template<class T>
  T* data() const {
    return reinterpret_cast<T*>(bytes());
  }

  // Autograd.
  AutogradMeta* meta() const { return p_->meta.get(); }
  AutogradMeta& make_meta() const;
  bool requires_grad() const { return (p_->meta || p_->base) && in_graph(); }
  bool is_leaf() const;
  Ref<Node> grad_fn() const; // regenerated for views whose base was written in place
  Tensor grad() const;

 private:
  bool in_graph() const;
  Ref<TensorImpl> p_;
};

using Tensors = std::vector<Tensor>;

// A tensor that somebody else keeps alive, as a handle that counts nothing.
class Borrowed {
 public:
  Borrowed(TensorImpl* p = nullptr) { new (&tensor_) Tensor(Tensor::adopt(p)); }
  Borrowed(const Borrowed& o) : Borrowed(o.impl()) {}
  Borrowed& operator=(const Borrowed& o) {
    new (&tensor_) Tensor(Tensor::adopt(o.impl()));
    return *this;
  }
  ~Borrowed() {}
  const Tensor& get() const { return tensor_; }
  TensorImpl* impl() const { return tensor_.impl(); }

 private:
  union {
    Tensor tensor_;
  };
};

int64_t numel_of(const Dims& shape); // raises on overflow and negative sizes
Dims contiguous_strides(const Dims& shape);
bool is_contiguous(const Dims& shape, const Dims& strides);
// Dense, in some order of dimensions, without overlap.
bool is_dense(const Dims& shape, const Dims& strides);
int64_t wrap_dim(int64_t dim, int64_t ndim, const char* op = nullptr);
Dims wrap_dims(const Dims& dims, int64_t ndim, const char* op); // also refuses repeats
Dims broadcast_shapes(const Dims& a, const Dims& b, const char* op);

Tensor empty(const Dims& shape, DType dtype, Device device = {});
Tensor empty_strided(const Dims& shape, const Dims& strides, DType dtype, Device device = {});
// A tensor on t's storage, outside of autograd.
Tensor alias(const Tensor& t);
Tensor alias_as(const Tensor& t, const Dims& shape, const Dims& strides, int64_t offset);
Tensor alias_bytes(const Tensor& t, DType dtype, const Dims& shape, const Dims& strides,
                   int64_t offset);
void set_layout(TensorImpl& t, const Dims& shape, const Dims& strides, int64_t offset);
std::string describe(const Tensor& t); // "float32[2, 3]"
inline std::string to_str(const Tensor& t) { return describe(t); }

} // namespace flambeau
