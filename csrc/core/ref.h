// Ref<T>: an intrusive reference-counted pointer for T with retain() and release().
#pragma once
#include <cstdint>
#include <utility>

namespace flambeau {

template<class T>
class Ref {
 public:
  Ref() = default;
  Ref(std::nullptr_t) {}
  explicit Ref(T* p) : p_(p) {
    if (p_) p_->retain();
  }
  static Ref adopt(T* p) {
    Ref r;
    r.p_ = p;
    return r;
  }
  Ref(const Ref& o) : p_(o.p_) {
    if (p_) p_->retain();
  }
  Ref(Ref&& o) noexcept : p_(o.p_) { o.p_ = nullptr; }
  Ref& operator=(const Ref& o) {
    Ref(o).swap(*this);
    return *this;
  }
  Ref& operator=(Ref&& o) noexcept {
    Ref(std::move(o)).swap(*this);
    return *this;
  }
  ~Ref() {
    if (p_) p_->release();
  }
  void swap(Ref& o) { std::swap(p_, o.p_); }
  void reset() { Ref().swap(*this); }
  T* get() const { return p_; }
  T* operator->() const { return p_; }
  T& operator*() const { return *p_; }
  explicit operator bool() const { return p_ != nullptr; }
  bool operator==(const Ref& o) const { return p_ == o.p_; }
  T* detach() { return std::exchange(p_, nullptr); }

 private:
  T* p_ = nullptr;
};

// Base of counted objects; `D` is the class to destroy. Counts are plain numbers: whoever copies
// or drops a handle holds the GIL.
template<class D>
class Counted {
 public:
  void retain() const { ++refs_; }
  void release() const {
    if (--refs_ == 0) D::destroy(const_cast<D*>(static_cast<const D*>(this)));
  }
  uint32_t refs() const { return refs_; }

 protected:
  Counted() = default;
  Counted(const Counted&) {}
  ~Counted() = default;

 private:
  mutable uint32_t refs_ = 1;
};

} // namespace flambeau
