// Storage, shapes and strides; nothing here computes on elements.
#include "tensor.h"

#include <algorithm>
#include <cstring>
#include <new>

#include "../autograd/node.h"
#include "../cuda/pool.h"
#include "allocator.h"

namespace flambeau {

void (*TensorImpl::py_retain)(void*) = nullptr;
void (*TensorImpl::py_release)(void*) = nullptr;

namespace {
// Free lists of the small objects that every op makes. Counts change under the GIL or in
// one thread at a time, but a thread of its own may drop tensors: the lists are per thread.
template<class T>
struct FreeList {
  static constexpr int kMax = 256;
  void* slots[kMax];
  int n = 0, room = kMax; // without room, objects come from the system and go back to it
  static constexpr std::align_val_t kAlign{alignof(T)};
  void* take() { return n ? slots[--n] : ::operator new(sizeof(T), kAlign); }
  void give(void* p) {
    if (n < room)
      slots[n++] = p;
    else
      ::operator delete(p, kAlign);
  }
  ~FreeList() {
    while (n) ::operator delete(slots[--n], kAlign);
  }
};
constexpr size_t kInlineBytes = 64;
struct SmallStorage : Storage {
  alignas(64) char bytes[kInlineBytes];
};
struct FreeLists {
  FreeList<TensorImpl> tensors;
  FreeList<SmallStorage> small;
  FreeList<Storage> storages;
};
constinit thread_local FreeLists* own_lists = nullptr;
[[gnu::noinline, gnu::cold]] FreeLists& make_lists() {
  struct Owner {
    FreeLists* lists = new FreeLists;
    ~Owner() {
      static FreeLists none; // for objects that die later still, at thread exit
      none.tensors.room = none.small.room = none.storages.room = 0;
      own_lists = &none;
      delete lists;
    }
  };
  static thread_local Owner owner;
  own_lists = owner.lists;
  return *own_lists;
}
FreeLists& lists() { return own_lists ? *own_lists : make_lists(); }

Storage* new_storage() { return new (lists().storages.take()) Storage; }
} // namespace

TensorImpl* TensorImpl::create() { return new (lists().tensors.take()) TensorImpl; }
TensorImpl::~TensorImpl() = default;
void TensorImpl::destroy(TensorImpl* t) {
  t->~TensorImpl();
  lists().tensors.give(t);
}

Ref<Storage> Storage::create(size_t nbytes, Device device) {
  if (device.is_cpu() && nbytes <= kInlineBytes) {
    auto* s = new (lists().small.take()) SmallStorage;
    s->data = s->bytes;
    s->nbytes = nbytes;
    return Ref<Storage>::adopt(s);
  }
  auto s = Ref<Storage>::adopt(new_storage());
  s->device = device.is_cuda() ? usable(device) : device;
  if (device.is_cpu())
    s->data = allocate(nbytes);
  else if (device.is_cuda())
    s->data = cuda::allocate(s->device.index, nbytes);
  s->nbytes = nbytes;
  return s;
}

Ref<Storage> Storage::borrow(void* data, size_t nbytes, void* owner, void (*deleter)(void*)) {
  auto s = Ref<Storage>::adopt(new_storage());
  s->data = data;
  s->nbytes = nbytes;
  s->owner = owner;
  s->deleter = deleter;
  s->resizable = false;
  return s;
}

static bool is_small(const Storage* s) {
  return s->device.is_cpu() && s->data == static_cast<const SmallStorage*>(s)->bytes;
}

void Storage::destroy(Storage* s) {
  if (s->deleter) {
    s->deleter(s->owner);
  } else if (is_small(s)) {
    static_cast<SmallStorage*>(s)->~SmallStorage();
    lists().small.give(s);
    return;
  } else if (s->device.is_cuda()) {
    cuda::deallocate(s->device.index, s->data);
  } else if (s->data) {
    deallocate(s->data, s->nbytes);
  }
  s->~Storage();
  lists().storages.give(s);
}

void Storage::resize(size_t n) {
  FB_CHECK(resizable, "Trying to resize storage that is not resizable: its memory belongs to "
                      "another object (a NumPy array or a buffer)");
  if (device.is_meta()) {
    nbytes = n;
    return;
  }
  if (device.is_cuda()) {
    void* p = cuda::reallocate(device.index, data, nbytes, n);
    data = p;
    nbytes = n;
    return;
  }
  void* p = allocate(n);
  std::memcpy(p, data, std::min(n, nbytes));
  if (!is_small(this)) deallocate(data, nbytes);
  data = p;
  nbytes = n;
}

int64_t Tensor::size(int64_t d) const { return p_->shape[int(wrap_dim(d, dim()))]; }
int64_t Tensor::stride(int64_t d) const { return p_->strides[int(wrap_dim(d, dim()))]; }

void Tensor::no_data(Device d) {
  FB_CHECK_AS(NotImplemented, !d.is_cuda(),
              "this function works on the host's memory, but the tensor is on ", d,
              ": call .cpu() on it first");
  fail(ErrorKind::NotImplemented, "Cannot copy out of meta tensor; no data! This function reads "
                                  "values, and a meta tensor has only a shape and a dtype");
}

int64_t numel_of(const Dims& shape) {
  int64_t n = 1;
  bool overflow = false, zero = false;
  for (int64_t s : shape) {
    FB_CHECK(s >= 0, "Trying to create tensor with negative dimension ", s, ": ", shape);
    zero = zero || s == 0;
    overflow = __builtin_mul_overflow(n, s ? s : 1, &n) || overflow;
  }
  if (zero) return 0;
  FB_CHECK(!overflow, "numel: integer multiplication overflow: the sizes ", shape,
           " have more elements than fit in int64");
  return n;
}

Dims contiguous_strides(const Dims& shape) {
  Dims s(shape.size(), 1);
  int64_t acc = 1;
  for (int i = shape.size() - 1; i >= 0; --i) {
    s[i] = acc;
    acc *= std::max<int64_t>(shape[i], 1);
  }
  return s;
}

bool is_contiguous(const Dims& shape, const Dims& strides) {
  int64_t acc = 1;
  for (int i = shape.size() - 1; i >= 0; --i) {
    if (shape[i] == 0) return true;
    if (shape[i] != 1 && strides[i] != acc) return false;
    acc *= shape[i];
  }
  return true;
}

bool is_dense(const Dims& shape, const Dims& strides) {
  Dims order;
  for (int i = 0; i < shape.size(); ++i) {
    if (shape[i] == 0) return true;
    if (shape[i] != 1) order.push_back(i);
  }
  std::sort(order.begin(), order.end(),
            [&](int64_t a, int64_t b) { return strides[int(a)] < strides[int(b)]; });
  int64_t acc = 1;
  for (int64_t i : order) {
    if (strides[int(i)] != acc) return false;
    acc *= shape[int(i)];
  }
  return true;
}

int64_t wrap_dim(int64_t dim, int64_t ndim, const char* op) {
  int64_t n = ndim ? ndim : 1;
  FB_CHECK_INDEX(dim >= -n && dim < n, op ? op : "", op ? ": " : "",
                 "Dimension out of range (expected to be in range of [", -n, ", ", n - 1,
                 "], but got ", dim, ")");
  return dim < 0 ? dim + n : dim;
}

Dims wrap_dims(const Dims& dims, int64_t ndim, const char* op) {
  Dims r;
  for (int64_t d : dims) {
    int64_t w = wrap_dim(d, ndim, op);
    for (int64_t e : r)
      FB_CHECK(e != w, op, ": dim ", w, " appears multiple times in the list of dims");
    r.push_back(w);
  }
  return r;
}

Dims broadcast_shapes(const Dims& a, const Dims& b, const char* op) {
  if (a == b) return a;
  int n = std::max(a.size(), b.size());
  Dims r(n, 1);
  for (int i = 1; i <= n; ++i) {
    int64_t x = i <= a.size() ? a[a.size() - i] : 1, y = i <= b.size() ? b[b.size() - i] : 1;
    FB_CHECK(x == y || x == 1 || y == 1, op, ": The size of tensor a (", x,
             ") must match the size of tensor b (", y, ") at non-singleton dimension ", n - i,
             ": the shapes ", a, " and ", b, " do not broadcast");
    r[n - i] = x == 1 ? y : x;
  }
  return r;
}

Tensor empty(const Dims& shape, DType dtype, Device device) {
  int64_t n = numel_of(shape), bytes;
  FB_CHECK(!__builtin_mul_overflow(n, int64_t(size_of(dtype)), &bytes),
           "Storage size calculation overflowed with sizes=", shape);
  TensorImpl* t = TensorImpl::create();
  Tensor r = Tensor::adopt(t);
  t->storage = Storage::create(size_t(bytes), device);
  t->shape = shape;
  t->strides = shape;
  int64_t step = 1;
  for (int i = shape.size() - 1; i >= 0; --i) {
    t->strides[i] = step;
    step *= std::max<int64_t>(shape[i], 1);
  }
  t->numel = n;
  t->dtype = dtype;
  return r;
}

Tensor empty_strided(const Dims& shape, const Dims& strides, DType dtype, Device device) {
  int64_t n = numel_of(shape), last = 0, bytes;
  FB_CHECK(shape.size() == strides.size(), "empty_strided: the ", shape.size(), " sizes ", shape,
           " and the ", strides.size(), " strides ", strides, " must be equally many");
  bool overflow = false;
  for (int i = 0; i < shape.size() && n; ++i) {
    int64_t reach;
    FB_CHECK(strides[i] >= 0, "empty_strided: negative strides are not supported: ", strides);
    overflow = __builtin_mul_overflow(shape[i] - 1, strides[i], &reach) || overflow;
    overflow = __builtin_add_overflow(last, reach, &last) || overflow;
  }
  overflow = __builtin_mul_overflow(n ? last + 1 : 0, int64_t(size_of(dtype)), &bytes) || overflow;
  FB_CHECK(!overflow, "Storage size calculation overflowed with sizes=", shape,
           " and strides=", strides);
  TensorImpl* t = TensorImpl::create();
  Tensor r = Tensor::adopt(t);
  t->storage = Storage::create(size_t(bytes), device);
  t->dtype = dtype;
  set_layout(*t, shape, strides, 0);
  return r;
}

void set_layout(TensorImpl& t, const Dims& shape, const Dims& strides, int64_t offset) {
  t.shape = shape;
  t.strides = strides;
  t.offset = offset;
  t.numel = numel_of(shape);
  t.contiguous = is_contiguous(shape, strides);
}

Tensor alias(const Tensor& t) {
  TensorImpl *r = TensorImpl::create(), *s = t.impl();
  r->storage = s->storage;
  r->shape = s->shape;
  r->strides = s->strides;
  r->offset = s->offset;
  r->numel = s->numel;
  r->dtype = s->dtype;
  r->contiguous = s->contiguous;
  r->untracked = s->untracked;
  r->inference = s->inference;
  return Tensor::adopt(r);
}

Tensor alias_as(const Tensor& t, const Dims& shape, const Dims& strides, int64_t offset) {
  return alias_bytes(t, t.dtype(), shape, strides, offset);
}

Tensor alias_bytes(const Tensor& t, DType dtype, const Dims& shape, const Dims& strides,
                   int64_t offset) {
  TensorImpl *r = TensorImpl::create(), *s = t.impl();
  Tensor out = Tensor::adopt(r);
  r->storage = s->storage;
  r->dtype = dtype;
  r->untracked = s->untracked;
  r->inference = s->inference;
  set_layout(*r, shape, strides, offset);
  return out;
}

std::string describe(const Tensor& t) {
  return t.defined() ? std::string(name_of(t.dtype())) + to_str(t.shape()) : "None";
}

} // namespace flambeau
