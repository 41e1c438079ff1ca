// The thread pool: parallel_for over fixed-size chunks, with results that never depend on threads.
#pragma once

#include <cstdint>
#include <memory>
#include <type_traits>
#include <utility>

namespace flambeau {

template<class Signature>
class FunctionRef;

// A non-owning reference to a callable; valid only while the callable lives.
template<class R, class... Args>
class FunctionRef<R(Args...)> {
 public:
  template<class F>
    requires(!std::is_same_v<std::remove_cvref_t<F>, FunctionRef> &&
             std::is_invocable_r_v<R, F&, Args...>)
  FunctionRef(F&& f) noexcept // NOLINT: implicit on purpose, so that a lambda can be passed
      : object_(const_cast<void*>(static_cast<const void*>(std::addressof(f)))),
        call_([](void* o, Args... args) -> R {
          return (*static_cast<std::remove_reference_t<F>*>(o))(std::forward<Args>(args)...);
        }) {}

  R operator()(Args... args) const { return call_(object_, std::forward<Args>(args)...); }

 private:
  void* object_;
  R (*call_)(void*, Args...);
};

// Called around every region of more than one chunk, by the outermost caller only. Python's binding
// lets go of the GIL here: release() returns a token (null when there was nothing to release).
struct HostHooks {
  void* (*release)() = nullptr;
  void (*reacquire)(void* token) = nullptr;
};
extern HostHooks host_hooks;

// Threads that a region may use, the caller included. The default is the smallest of the affinity
// mask, the cgroup's CPU quota and, where set, FLAMBEAU_NUM_THREADS or OMP_NUM_THREADS.
int num_threads();
void set_num_threads(int n); // throws std::invalid_argument for n < 1

// Whether this thread is running a chunk; parallel_for is then serial.
bool in_parallel_region();

// Calls fn(begin, end) once for each chunk of `grain` indices of [0, n), the last one shorter. The
// borders depend on n and grain alone. Chunks run in any order, on any thread, possibly at once;
// the first exception is rethrown here, chunks not yet started are then skipped. Nested calls, and
// calls made while another thread is using the pool, run their chunks in order on the caller.
void parallel_for(int64_t n, int64_t grain, FunctionRef<void(int64_t begin, int64_t end)> fn);

} // namespace flambeau
