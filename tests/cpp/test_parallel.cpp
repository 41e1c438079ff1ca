// The thread pool: every chunk runs once, whoever sleeps, forks, throws or calls at the same time.
#include "parallel.h"

#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <random>
#include <stdexcept>
#include <thread>
#include <vector>

#include "check.h"

using namespace flambeau;

namespace {

// Runs a region whose chunks count their indices; true when each was met once, in whole chunks.
bool covers(int64_t n, int64_t grain) {
  std::vector<std::atomic<int>> met(n);
  std::atomic<bool> whole = true;
  parallel_for(n, grain, [&](int64_t begin, int64_t end) {
    if (n > grain && (begin % grain != 0 || end != std::min(n, begin + grain))) whole = false;
    for (; begin < end; begin++) met[begin]++;
  });
  for (auto& m : met)
    if (m != 1) return false;
  return whole;
}

void idle(int microseconds) {
  std::this_thread::sleep_for(std::chrono::microseconds(microseconds));
}

void test_coverage() {
  std::mt19937 rng(3);
  for (int round = 0; round < 20000; round++) {
    set_num_threads(1 + round / 1000 % 4);
    CHECK(covers(rng() % 50, 1 + rng() % 9), "coverage");
    if (round % 500 == 0) idle(1000); // the workers fall asleep
    if (round % 100 == 50) idle(rng() % 300);
  }
  CHECK(covers(100000, 7), "many chunks");
}

void test_exceptions() {
  set_num_threads(3);
  for (int round = 0; round < 300; round++) {
    bool caught = false;
    try {
      parallel_for(64, 1, [&](int64_t i, int64_t) {
        if (i % 20 == 7) throw std::runtime_error("chunk");
      });
    } catch (const std::runtime_error&) {
      caught = true;
    }
    CHECK(caught, "exception");
    CHECK(covers(64, 3), "after an exception");
  }
}

void test_nested() {
  std::atomic<int> sum = 0;
  parallel_for(16, 1, [&](int64_t, int64_t) {
    CHECK(in_parallel_region(), "inside");
    parallel_for(10, 3, [&](int64_t b, int64_t e) { sum += int(e - b); });
  });
  CHECK(sum == 160, "nested");
  CHECK(!in_parallel_region(), "outside");
}

void test_callers() {
  std::vector<std::thread> callers;
  for (int t = 0; t < 3; t++)
    callers.emplace_back([] {
      for (int round = 0; round < 2000; round++) CHECK(covers(40, 3), "several callers");
    });
  for (auto& t : callers) t.join();
}

void test_fork() {
  set_num_threads(3);
  for (int round = 0; round < 5; round++) {
    CHECK(covers(100, 3), "before a fork");
    const pid_t child = fork();
    if (child == 0) _exit(covers(100, 3) && covers(1000, 9) ? 0 : 1);
    int status = -1;
    waitpid(child, &status, 0);
    CHECK(status == 0, "child");
    CHECK(covers(100, 3), "after a fork");
  }
}

} // namespace

int main() {
  test_coverage();
  test_exceptions();
  test_nested();
  test_callers();
  test_fork();
  set_num_threads(16); // more than there are processors
  for (int round = 0; round < 500; round++) CHECK(covers(64, 1), "more threads than processors");
  return outcome();
}
