// The word of pinned memory, one for each GPU, in which kernels note an index out of range.
#include "fault.h"

#include <array>
#include <cstring>
#include <mutex>
#include <string>

#include "../core/error.h"
#include "device.h"
#include "pool.h"

namespace flambeau::cuda {

namespace {

struct Word { // written with one 16-byte store
  int64_t index = 0;
  uint64_t size_and_op = 0; // 0: nothing noted
};

constexpr int kMostOps = 255;
std::mutex mutex;
std::array<volatile Word*, 64> words;
std::array<const char*, kMostOps + 1> names; // from 1
int count = 0;

} // namespace

Watch watch(int device, const char* op) {
  std::lock_guard lock(mutex);
  volatile Word*& word = words[size_t(device)];
  if (!word) {
    gpu(device);
    word = new (allocate_pinned(sizeof(Word))) Word;
  }
  int at = 1;
  while (at <= count && std::strcmp(names[size_t(at)], op) != 0) ++at;
  FB_CHECK(at <= kMostOps, "internal error: more than ", kMostOps, " ops watch their indices");
  if (at > count) names[size_t(count = at)] = op;
  return {Pointer(const_cast<Word*>(word)), at};
}

void raise_faults(int device) {
  volatile Word* word = words[size_t(device)];
  if (!word || !word->size_and_op) [[likely]]
    return;
  int64_t index = word->index;
  uint64_t noted = word->size_and_op;
  word->size_and_op = 0;
  fail(ErrorKind::Index, names[noted & kMostOps], "(): index ", index,
       " is out of bounds for a dimension of size ", int64_t(noted >> 8),
       ": a kernel on cuda:", device,
       " found it before this wait for its results, and they are not to be used");
}

} // namespace flambeau::cuda
