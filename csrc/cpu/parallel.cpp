// The thread pool behind parallel_for: shares of chunks, stealing, a short spin, then sleep.
#include "parallel.h"

#include <pthread.h>
#include <signal.h>

#include <algorithm>
#include <atomic>
#include <bit>
#include <chrono>
#include <condition_variable>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <mutex>
#include <new>
#include <stdexcept>
#include <string>
#include <system_error>
#include <thread>
#include <vector>

#if defined(__linux__)
#include <sched.h>
#include <sys/syscall.h>
#include <unistd.h>
#endif
#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace flambeau {

HostHooks host_hooks;

namespace {

inline void cpu_pause() {
#if defined(__x86_64__)
  _mm_pause();
#else
  std::this_thread::yield();
#endif
}

// Workers take over the caller's rounding and denormal modes, or results would depend on threads.
inline unsigned float_mode() {
#if defined(__x86_64__)
  return _mm_getcsr() & ~0x3fu;
#else
  return 0;
#endif
}

inline void set_float_mode(unsigned mode) {
#if defined(__x86_64__)
  if ((_mm_getcsr() & ~0x3fu) != mode) _mm_setcsr(mode);
#else
  (void)mode;
#endif
}

thread_local bool inside_chunk = false;

struct InsideChunk {
  bool before = inside_chunk;
  InsideChunk() { inside_chunk = true; }
  ~InsideChunk() { inside_chunk = before; }
};

// Where a thread runs is the kernel's choice; a thread is named by its id there.
int this_thread() {
#if defined(__linux__)
  return static_cast<int>(syscall(SYS_gettid));
#else
  return 0;
#endif
}

// The CPU that the caller runs on, or `unknown`.
int this_cpu(int unknown) {
#if defined(__linux__)
  const int cpu = sched_getcpu();
  return cpu < 0 ? unknown : cpu;
#else
  return unknown;
#endif
}

// Moves a thread that waits for the CPU of the caller to another one that it may use. A thread that
// runs or waits elsewhere stays there.
void send_elsewhere(int thread) {
#if defined(__linux__)
  cpu_set_t allowed, others;
  const int here = sched_getcpu();
  if (here < 0 || sched_getaffinity(thread, sizeof allowed, &allowed) != 0) return;
  others = allowed;
  CPU_CLR(here, &others);
  if (CPU_COUNT(&others) == 0 || sched_setaffinity(thread, sizeof others, &others) != 0) return;
  sched_setaffinity(thread, sizeof allowed, &allowed);
#else
  (void)thread;
#endif
}

using ChunkFn = FunctionRef<void(int64_t, int64_t)>;
using Clock = std::chrono::steady_clock;

// How long a thread polls before it sleeps. Waking a sleeper takes 50 us and more on a virtual
// machine, so the worker outlasts the serial code between two regions of a training step.
constexpr auto kSpin = std::chrono::microseconds(300);
constexpr auto kShortSpin = std::chrono::microseconds(5);
constexpr auto kDescheduled = std::chrono::microseconds(500);
constexpr auto kBetweenSpreads = std::chrono::milliseconds(1); // for each worker
constexpr uint64_t kWord = 0xffffffffu; // what a number of a job or of a chunk has room for

// Polls until ready() or until its patience ends. A poll that was itself held up for long has lost
// its CPU to another thread: spinning would take time from that one, so the next waits are short,
// and longer again one by one.
class Spinner {
 public:
  template<class Ready>
  bool wait(Ready ready) {
    if (poll(ready)) return true;
    const auto start = Clock::now();
    auto last = start;
    for (;;) {
      if (poll(ready)) break;
      const auto now = Clock::now();
      if (now - last > kDescheduled) patience_ = kShortSpin;
      last = now;
      if (now - start > patience_) {
        patience_ = std::min<Clock::duration>(2 * patience_, kSpin);
        return false;
      }
    }
    patience_ = std::min<Clock::duration>(2 * patience_, kSpin);
    return true;
  }

 private:
  template<class Ready>
  static bool poll(Ready ready) {
    for (int i = 0; i < 32; i++) {
      if (ready()) return true;
      cpu_pause();
    }
    return false;
  }
  Clock::duration patience_ = kSpin;
};

// One job at a time. Each thread has a share of its chunks, the same share in every job of as many
// chunks: what one op left in a core's cache, the next op finds there. Who is done with its own
// takes from the others'. A share is (job number << 32 | next chunk): a chunk is claimed by a
// compare-exchange, so a worker that wakes up late can never take a chunk of another job.
class Pool : public std::enable_shared_from_this<Pool> {
 public:
  explicit Pool(int workers) : wanted_(workers), shares_(workers + 1) {}
  int wanted() const { return wanted_; }

  void start() {
    sigset_t all, old;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old); // signals belong to the host's threads
    try {
      for (int i = 1; i <= wanted_; i++)
        std::thread([self = shared_from_this(), i] { self->work(i); }).detach();
    } catch (const std::system_error&) {
      // No more threads to be had: the caller does the rest of the work.
    }
    pthread_sigmask(SIG_SETMASK, &old, nullptr);
  }

  void stop() {
    stop_.store(true);
    job_.fetch_add(1);
    wake_workers(wanted_);
  }

  std::exception_ptr run(int64_t n, int64_t grain, uint32_t chunks, const ChunkFn& fn) {
    const uint64_t job = job_.load(kRelaxed) + 2;
    job_.store(job - 1, kRelaxed);
    // Releases, so that who reads a value of this job finds the one before it closed.
    fn_.store(&fn, kRelease);
    n_.store(n, kRelease);
    grain_.store(grain, kRelease);
    chunks_.store(chunks, kRelease);
    mode_.store(float_mode(), kRelease);
    failed_.store(false, kRelease);
    completed_.store(0, kRelaxed);
    error_ = nullptr;
    for (size_t i = 0; i < shares_.size(); i++)
      shares_[i].next.store(job << 32 | first_chunk(i, chunks), kRelease);
    job_.store(job); // before the look at sleepers_, which look at it before they sleep
    if (sleepers_.load() > 0) wake_workers(chunks - 1);
    take_chunks(0, job);
    wait_for_completion(chunks);
    return std::exchange(error_, nullptr);
  }

 private:
  static constexpr auto kRelaxed = std::memory_order_relaxed;
  static constexpr auto kAcquire = std::memory_order_acquire;
  static constexpr auto kRelease = std::memory_order_release;

  // Where a thread's share begins, and that of the one before it ends.
  uint32_t first_chunk(size_t thread, uint64_t chunks) const {
    return static_cast<uint32_t>((thread * chunks + shares_.size() - 1) / shares_.size());
  }

  void wake_workers(uint32_t useful) {
    uint32_t sleepers;
    {
      std::lock_guard lock(mutex_); // nobody is between its last look and its sleep
      sleepers = static_cast<uint32_t>(sleepers_.load());
    }
    if (useful >= sleepers) return wake_.notify_all();
    for (uint32_t i = 0; i < useful; i++) wake_.notify_one();
  }

  void take_chunks(size_t self, uint64_t job) {
    const ChunkFn* fn = fn_.load(kAcquire);
    const int64_t n = n_.load(kAcquire), grain = grain_.load(kAcquire);
    const uint32_t chunks = chunks_.load(kAcquire);
    const unsigned mode = mode_.load(kAcquire);
    if (job_.load() != job) return; // what was just read may be a later job's
    uint32_t taken = 0;
    for (size_t i = 0; i < shares_.size(); i++) {
      const size_t owner = (self + i) % shares_.size();
      const uint32_t end = first_chunk(owner + 1, chunks);
      std::atomic<uint64_t>& share = shares_[owner].next;
      uint64_t next = share.load(kAcquire);
      while (next >> 32 == (job & kWord) && (next & kWord) < end) {
        if (!share.compare_exchange_weak(next, next + 1)) continue;
        run_chunk(*fn, n, grain, next & kWord, mode);
        taken++;
        if (self == 0 && std::has_single_bit(taken) && some_lack_cpu(job, chunks)) spread_workers();
        next = share.load(kAcquire);
      }
    }
    if (taken > 0 && completed_.fetch_add(taken) + taken == chunks && caller_sleeps_.load()) {
      std::lock_guard lock(mutex_);
      done_.notify_all();
    }
  }

  void run_chunk(const ChunkFn& fn, int64_t n, int64_t grain, int64_t chunk, unsigned mode) {
    if (failed_.load(kRelaxed)) return;
    set_float_mode(mode);
    try {
      const int64_t begin = chunk * grain;
      fn(begin, std::min(n, begin + grain));
    } catch (...) {
      if (!failed_.exchange(true)) error_ = std::current_exception();
    }
  }

  void wait_for_completion(uint32_t chunks) {
    auto complete = [&] { return completed_.load() == chunks; };
    if (complete() || caller_.wait(complete)) return;
    spread_workers();
    std::unique_lock lock(mutex_);
    caller_sleeps_.store(true);
    done_.wait(lock, complete);
    caller_sleeps_.store(false);
  }

  // Whether a worker with a share of the job has not come yet or shares the caller's CPU.
  bool some_lack_cpu(uint64_t job, uint32_t chunks) const {
    const int here = this_cpu(-1);
    for (size_t i = 1; i < shares_.size(); i++)
      if (first_chunk(i, chunks) < first_chunk(i + 1, chunks) &&
          (shares_[i].seen.load(kRelaxed) != job || shares_[i].cpu.load(kRelaxed) == here))
        return true;
    return false;
  }

  // Woken on the caller's CPU, a worker waits there while the caller does all the work, or, with a
  // chunk in hand, while the caller waits for it: for tens of milliseconds, until the kernel evens
  // the load out.
  void spread_workers() {
    const auto now = Clock::now();
    if (now - spread_ < kBetweenSpreads * wanted_) return;
    spread_ = now;
    for (size_t i = 1; i < shares_.size(); i++)
      if (const int thread = shares_[i].thread.load(kRelaxed)) send_elsewhere(thread);
  }

  void work(size_t self) {
    InsideChunk mark;
    shares_[self].thread.store(this_thread(), kRelaxed);
    Spinner spinner;
    uint64_t seen = 0, job = 0;
    auto news = [&] {
      job = job_.load();
      return job != seen && (job % 2 == 0 || stop_.load());
    };
    for (;;) {
      if (!spinner.wait(news)) {
        std::unique_lock lock(mutex_);
        sleepers_.fetch_add(1);
        wake_.wait(lock, news);
        sleepers_.fetch_sub(1);
      }
      if (stop_.load()) return;
      seen = job;
      shares_[self].cpu.store(this_cpu(-2), kRelaxed);
      shares_[self].seen.store(job, kRelaxed);
      take_chunks(self, job);
    }
  }

  struct alignas(64) Share {
    std::atomic<uint64_t> next{0};
    std::atomic<uint64_t> seen{0};       // the last job that its thread has come to
    std::atomic<int> thread{0}, cpu{-2}; // its thread, and where that was when it came
  };

  const int wanted_;
  std::vector<Share> shares_; // the caller's first
  // The line that idle workers poll: nothing else that changes is in it.
  // The open job's number; odd while its fields below are being written.
  alignas(64) std::atomic<uint64_t> job_{0};
  // The line that the caller polls.
  alignas(64) std::atomic<uint32_t> completed_{0};
  alignas(64) std::atomic<const ChunkFn*> fn_{nullptr};
  std::atomic<int64_t> n_{0}, grain_{1};
  std::atomic<uint32_t> chunks_{0};
  std::atomic<unsigned> mode_{0};
  std::atomic<bool> failed_{false}, caller_sleeps_{false}, stop_{false};
  std::atomic<int> sleepers_{0};
  std::exception_ptr error_;
  Spinner caller_;
  Clock::time_point spread_;
  std::mutex mutex_;
  std::condition_variable wake_, done_;
};

// Never destroyed: workers may outlive the static objects, and a forked child must not touch the
// parent's pool (its threads do not exist there), so it forgets it and makes another at need.
using PoolPtr = std::shared_ptr<Pool>;
alignas(PoolPtr) unsigned char pool_bytes[sizeof(PoolPtr)];
PoolPtr& current_pool() { return *reinterpret_cast<PoolPtr*>(pool_bytes); }
std::atomic<bool> pool_in_use{false};
std::atomic<int> thread_count{0};

void forget_pool() {
  new (pool_bytes) PoolPtr();
  pool_in_use.store(false);
}

const bool fork_handler_installed = [] {
  new (pool_bytes) PoolPtr();
  return pthread_atfork(nullptr, nullptr, forget_pool) == 0;
}();

int count_from_environment() {
  for (const char* name : {"FLAMBEAU_NUM_THREADS", "OMP_NUM_THREADS"}) {
    const char* text = std::getenv(name);
    if (text == nullptr) continue;
    const long n = std::strtol(text, nullptr, 10);
    if (n >= 1 && n <= 4096) return static_cast<int>(n);
  }
  return 0;
}

bool read_numbers(const char* path, const char* format, long long* a, long long* b) {
  std::FILE* file = std::fopen(path, "r");
  if (file == nullptr) return false;
  const int wanted = b == nullptr ? 1 : 2;
  const int got = b == nullptr ? std::fscanf(file, format, a) : std::fscanf(file, format, a, b);
  std::fclose(file);
  return got == wanted;
}

// CPUs' worth of time that the control group grants, rounded up; 0 when there is no limit.
int count_from_cgroup() {
  long long quota = 0, period = 0;
  const bool known =
      read_numbers("/sys/fs/cgroup/cpu.max", "%lld %lld", &quota, &period) ||
      (read_numbers("/sys/fs/cgroup/cpu/cpu.cfs_quota_us", "%lld", &quota, nullptr) &&
       read_numbers("/sys/fs/cgroup/cpu/cpu.cfs_period_us", "%lld", &period, nullptr));
  if (!known || quota <= 0 || period <= 0) return 0;
  return static_cast<int>(std::min<long long>((quota + period - 1) / period, 4096));
}

int default_threads() {
  if (const int n = count_from_environment()) return n;
  int n = static_cast<int>(std::max(1u, std::thread::hardware_concurrency()));
#if defined(__linux__)
  cpu_set_t set;
  if (sched_getaffinity(0, sizeof set, &set) == 0) n = std::max(1, CPU_COUNT(&set));
#endif
  const int granted = count_from_cgroup();
  return granted > 0 ? std::min(n, granted) : n;
}

std::exception_ptr run_serially(int64_t n, int64_t grain, const ChunkFn& fn) {
  InsideChunk mark;
  try {
    for (int64_t begin = 0; begin < n; begin += grain) fn(begin, std::min(n, begin + grain));
  } catch (...) {
    return std::current_exception();
  }
  return nullptr;
}

// Runs on the pool, or serially where that is not to be had.
std::exception_ptr run_region(int64_t n, int64_t grain, const ChunkFn& fn) {
  const int threads = num_threads();
  const int64_t chunks = (n - 1) / grain + 1;
  if (threads == 1 || chunks > int64_t(kWord) || pool_in_use.exchange(true))
    return run_serially(n, grain, fn);
  PoolPtr& pool = current_pool();
  if (!pool || pool->wanted() != threads - 1) {
    if (pool) pool->stop();
    pool = std::make_shared<Pool>(threads - 1);
    pool->start();
  }
  std::exception_ptr error;
  {
    InsideChunk mark;
    error = pool->run(n, grain, static_cast<uint32_t>(chunks), fn);
  }
  pool_in_use.store(false);
  return error;
}

} // namespace

int num_threads() {
  int n = thread_count.load(std::memory_order_relaxed);
  if (n == 0) {
    n = default_threads();
    int none = 0;
    if (!thread_count.compare_exchange_strong(none, n)) n = none;
  }
  return n;
}

void set_num_threads(int n) {
  if (n < 1)
    throw std::invalid_argument("set_num_threads: expected a positive number of threads, got " +
                                std::to_string(n));
  thread_count.store(std::min(n, 4096));
}

bool in_parallel_region() { return inside_chunk; }

void parallel_for(int64_t n, int64_t grain, FunctionRef<void(int64_t, int64_t)> fn) {
  if (n <= 0) return;
  grain = std::max<int64_t>(grain, 1);
  if (n <= grain) return fn(0, n);
  if (inside_chunk) {
    for (int64_t begin = 0; begin < n; begin += grain) fn(begin, std::min(n, begin + grain));
    return;
  }
  const HostHooks hooks = host_hooks;
  void* token = hooks.release != nullptr ? hooks.release() : nullptr;
  const std::exception_ptr error = run_region(n, grain, fn);
  if (token != nullptr && hooks.reacquire != nullptr) hooks.reacquire(token);
  if (error) std::rethrow_exception(error);
}

} // namespace flambeau
