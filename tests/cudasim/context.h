// Contexts, streams, events and graphs of the simulated driver.
#pragma once

#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <set>

#include "machine.h"

namespace cudasim {

struct Stream;

// An event keeps counting: each record is a new version, and a wait asks for one of them.
struct EventState {
  uint64_t version = 0, done = 0;
  double seconds = 0;      // when the last record ran
  Stream* where = nullptr; // stream of the last record
  bool timing = true;
  std::shared_ptr<struct Graph> capture; // set when the last record was captured
  Stream* captured_in = nullptr;
  size_t captured_at = 0;
};

struct Work {
  std::function<void()> run;
  std::shared_ptr<EventState> after; // may run once this event has reached `version`
  uint64_t version = 0;
};

// What a capture records, in the order of the calls.
struct Graph {
  std::vector<std::function<void()>> nodes;
  Stream* origin = nullptr;
  int mode = 0;
  bool invalid = false;
  struct Member {
    size_t count = 0;  // operations recorded through this stream
    size_t joined = 0; // how many of them another stream has waited for
  };
  std::map<Stream*, Member> members;
};

struct Context;

struct Stream {
  Context* context = nullptr;
  bool blocking = true; // orders itself with the default stream
  std::deque<Work> queue;
  std::shared_ptr<Graph> capture;
};

struct Context {
  int device = 0;
  int retained = 0;
  int sticky = 0;
  Stream null_stream;
  std::set<Stream*> streams;
};

struct GraphExec {
  std::vector<std::function<void()>> nodes;
};

struct Driver {
  std::recursive_mutex lock;
  bool ready = false;
  std::vector<std::unique_ptr<Context>> contexts;
  std::map<const Kernel*, std::shared_ptr<Module>> kernels;
  std::map<Module*, std::shared_ptr<Module>> modules;
  std::map<EventState*, std::shared_ptr<EventState>> events;
  std::map<Graph*, std::shared_ptr<Graph>> graphs;
  std::map<GraphExec*, std::shared_ptr<GraphExec>> execs;
  std::set<void*> pinned;
  std::string error;
  int64_t launches = 0, allocs = 0;
};
extern Driver driver;
extern thread_local Context* current_context;
extern thread_local int capture_mode; // of this thread: 0 global, 1 thread-local, 2 relaxed

// Runs `f` under the lock and turns Faults into the code that the call returns.
template<class F>
int guarded(F f) {
  std::lock_guard<std::recursive_mutex> hold(driver.lock);
  try {
    return f();
  } catch (const Fault& e) {
    driver.error = e.what();
    return e.code;
  }
}

Context& context();              // the current one; throws when there is none or it is dead
Stream& stream_of(void* handle); // checks the handle
void fail_context(Context& c, int code, const std::string& text);

// Puts work into a stream, or into the graph that the stream captures.
void enqueue(Stream& s, std::function<void()> f);
void record_event(Stream& s, const std::shared_ptr<EventState>& e);
void wait_event(Stream& s, const std::shared_ptr<EventState>& e);
void drain(Stream& s);
void drain_all(Context& c);
void advance(Stream& s); // a query makes one piece of work happen
void satisfy(EventState& e, uint64_t version);
void begin_capture(Stream& s, int mode);
std::shared_ptr<Graph> end_capture(Stream& s);
// Calls that a capture forbids: marks the captures that they break, and throws.
void forbid_while_capturing(const char* call);
void forbid_on_captured(Stream& s, const char* call);

} // namespace cudasim

#define CUDASIM_API extern "C" __attribute__((visibility("default")))
