// Where the machine's host has put two of its virtual CPUs: how long a cache line takes from one to
// the other and back, and how long both take for the same arithmetic at once.
#include <pthread.h>
#include <sched.h>

#include <atomic>
#include <chrono>
#include <thread>

namespace {

using Clock = std::chrono::steady_clock;
constexpr int kTrips = 2000, kWarm = 200, kSteps = 100'000;

void stay_on(int cpu) {
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(cpu, &set);
  pthread_setaffinity_np(pthread_self(), sizeof set, &set);
}

double since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

// Ten chains of dependent additions: as much as a core can do, and so half on a shared one.
double arithmetic() {
  const auto start = Clock::now();
  double a = 0, b = 0, c = 0, d = 0, e = 0, f = 0, g = 0, h = 0, i = 0, j = 0;
  for (int k = 0; k < kSteps; k++) {
    a += 1, b += 1, c += 1, d += 1, e += 1, f += 1, g += 1, h += 1, i += 1, j += 1;
    asm volatile(""
                 : "+x"(a), "+x"(b), "+x"(c), "+x"(d), "+x"(e), "+x"(f), "+x"(g), "+x"(h), "+x"(i),
                   "+x"(j));
  }
  return since(start);
}

} // namespace

// result[0]: seconds of a round trip; result[1]: seconds of the arithmetic, the slower of the two.
extern "C" void placement(int first, int second, double* result) {
  alignas(128) std::atomic<int> line{0};
  double other = 0;
  std::thread partner([&] {
    stay_on(second);
    for (int t = 0; t < kTrips; t++) {
      while (line.load() != 2 * t + 1) {
      }
      line.store(2 * t + 2);
    }
    other = arithmetic();
  });
  double mine = 0;
  std::thread self([&] {
    stay_on(first);
    auto start = Clock::now();
    for (int t = 0; t < kTrips; t++) {
      if (t == kWarm) start = Clock::now();
      line.store(2 * t + 1);
      while (line.load() != 2 * t + 2) {
      }
    }
    result[0] = since(start) / (kTrips - kWarm);
    mine = arithmetic();
  });
  self.join();
  partner.join();
  result[1] = mine > other ? mine : other;
}
