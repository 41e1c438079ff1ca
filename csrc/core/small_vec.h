// SmallVec: a vector whose first N elements need no heap; Dims, the list of sizes, is one.
#pragma once
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <initializer_list>
#include <new>
#include <string>
#include <type_traits>
#include <utility>

namespace flambeau {

template<class T, int N>
class SmallVec {
 public:
  SmallVec() {}
  SmallVec(std::initializer_list<T> v) {
    reserve(int(v.size()));
    for (const T& x : v) push_back(x);
  }
  SmallVec(int n, const T& v) { resize(n, v); }
  template<class It>
    requires requires(It it) { *it; }
  SmallVec(It first, It last) {
    reserve(int(last - first));
    for (; first != last; ++first) push_back(*first);
  }
  SmallVec(const SmallVec& o) { copy(o); }
  SmallVec(SmallVec&& o) noexcept { take(o); }
  SmallVec& operator=(const SmallVec& o) {
    if (this != &o) {
      clear();
      copy(o);
    }
    return *this;
  }
  SmallVec& operator=(SmallVec&& o) noexcept {
    if (this != &o) {
      destroy();
      p_ = inline_ptr();
      cap_ = N;
      n_ = 0;
      take(o);
    }
    return *this;
  }
  ~SmallVec() { destroy(); }

  int size() const { return n_; }
  bool empty() const { return n_ == 0; }
  T* data() { return p_; }
  const T* data() const { return p_; }
  T& operator[](int i) { return p_[i]; }
  const T& operator[](int i) const { return p_[i]; }
  T* begin() { return p_; }
  T* end() { return p_ + n_; }
  const T* begin() const { return p_; }
  const T* end() const { return p_ + n_; }
  T& back() { return p_[n_ - 1]; }
  const T& back() const { return p_[n_ - 1]; }

  void reserve(int cap) {
    if (cap <= cap_) return;
    T* q = static_cast<T*>(std::malloc(sizeof(T) * cap));
    if (!q) throw std::bad_alloc();
    for (int i = 0; i < n_; ++i) {
      new (q + i) T(std::move(p_[i]));
      p_[i].~T();
    }
    if (p_ != inline_ptr()) std::free(p_);
    p_ = q;
    cap_ = cap;
  }
  template<class... A>
  T& emplace_back(A&&... args) {
    if (n_ == cap_) reserve(cap_ * 2);
    return *new (p_ + n_++) T(std::forward<A>(args)...);
  }
  void push_back(T v) { emplace_back(std::move(v)); }
  void pop_back() { p_[--n_].~T(); }
  void resize(int n, const T& v = T()) {
    reserve(n);
    while (n_ > n) pop_back();
    while (n_ < n) new (p_ + n_++) T(v);
  }
  void insert(int at, T v) {
    push_back(std::move(v));
    for (int i = n_ - 1; i > at; --i) std::swap(p_[i], p_[i - 1]);
  }
  void erase(int at) {
    for (int i = at; i + 1 < n_; ++i) p_[i] = std::move(p_[i + 1]);
    pop_back();
  }
  void clear() {
    if constexpr (std::is_trivially_destructible_v<T>)
      n_ = 0;
    else
      while (n_) pop_back();
  }
  bool operator==(const SmallVec& o) const {
    if (n_ != o.n_) return false;
    for (int i = 0; i < n_; ++i)
      if (!(p_[i] == o.p_[i])) return false;
    return true;
  }

 private:
  T* inline_ptr() { return reinterpret_cast<T*>(buf_); }
  void destroy() {
    clear();
    if (p_ != inline_ptr()) std::free(p_);
  }
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized" // whole buffers move, with what is unused
  void copy(const SmallVec& o) {                       // *this is empty
    if constexpr (std::is_trivially_copyable_v<T>)
      if (o.n_ <= N) {
        std::memcpy(p_, o.p_, sizeof(buf_)); // of a fixed size: a few moves
        n_ = o.n_;
        return;
      }
    reserve(o.n_);
    for (int i = 0; i < o.n_; ++i) new (p_ + i) T(o.p_[i]);
    n_ = o.n_;
  }
  void take(SmallVec& o) {
    if (o.p_ != o.inline_ptr()) {
      p_ = o.p_;
      n_ = o.n_;
      cap_ = o.cap_;
      o.p_ = o.inline_ptr();
      o.n_ = 0;
      o.cap_ = N;
    } else if constexpr (std::is_trivially_copyable_v<T>) {
      std::memcpy(buf_, o.buf_, sizeof(buf_));
      n_ = std::exchange(o.n_, 0);
    } else {
      for (int i = 0; i < o.n_; ++i) new (p_ + i) T(std::move(o.p_[i]));
      n_ = o.n_;
      o.clear();
    }
  }
#pragma GCC diagnostic pop
  alignas(T) unsigned char buf_[sizeof(T) * N];
  T* p_ = inline_ptr();
  int n_ = 0;
  int cap_ = N;
};

using Dims = SmallVec<int64_t, 5>;

std::string to_str(const Dims& d); // "[2, 3]"

} // namespace flambeau
