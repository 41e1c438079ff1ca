// Work queues: eager streams run at once; lazy ones run only what somebody waits for.
#include <algorithm>
#include <chrono>
#include <cstdio>

#include "context.h"

namespace cudasim {

Driver driver;
thread_local Context* current_context = nullptr;
thread_local int capture_mode = 0;

Context& context() {
  if (!driver.ready) throw Fault(kNotInitialized, "cuInit has not been called");
  if (!current_context) throw Fault(kInvalidContext, "this thread has no current context");
  if (current_context->sticky) throw Fault(current_context->sticky, driver.error);
  return *current_context;
}

Stream& stream_of(void* handle) {
  Context& c = context();
  if (reinterpret_cast<uintptr_t>(handle) <= 2) return c.null_stream;
  for (auto& other : driver.contexts)
    if (other && other->streams.count(static_cast<Stream*>(handle))) {
      if (other->sticky) throw Fault(other->sticky, driver.error);
      return *static_cast<Stream*>(handle);
    }
  throw Fault(kInvalidHandle, "this is not a live stream");
}

void fail_context(Context& c, int code, const std::string& text) {
  if (c.sticky) return;
  c.sticky = code;
  driver.error = text;
  std::fprintf(stderr, "cudasim: error %d: %s\n", code, text.c_str());
}

namespace {

double now() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

void execute(Context& c, const std::function<void()>& f) {
  if (c.sticky) return;
  try {
    f();
  } catch (const Fault& e) {
    fail_context(c, e.code, e.what());
  }
}

// Runs the first piece of work, and before it what it waits for.
void step(Stream& s) {
  Work work = std::move(s.queue.front());
  s.queue.pop_front();
  if (work.after) satisfy(*work.after, work.version);
  if (work.run) execute(*s.context, work.run);
}

// The default stream and the blocking streams take turns.
void order_with_default(Stream& s) {
  Context& c = *s.context;
  if (&s == &c.null_stream) {
    for (Stream* other : c.streams)
      if (other->blocking) drain(*other);
  } else if (s.blocking)
    drain(c.null_stream);
}

void push(Stream& s, Work work) {
  order_with_default(s);
  s.queue.push_back(std::move(work));
  if (!modes.lazy) drain(s);
}

} // namespace

void drain(Stream& s) {
  while (!s.queue.empty()) step(s);
}

void advance(Stream& s) {
  if (!s.queue.empty()) step(s);
}

void drain_all(Context& c) {
  std::vector<Stream*> order(c.streams.begin(), c.streams.end());
  order.push_back(&c.null_stream);
  if (modes.order != Order::Forward) std::reverse(order.begin(), order.end());
  for (Stream* s : order) drain(*s);
}

void satisfy(EventState& e, uint64_t version) {
  while (e.done < version && e.where && !e.where->queue.empty()) step(*e.where);
}

void enqueue(Stream& s, std::function<void()> f) {
  if (s.capture) {
    if (s.capture->invalid)
      throw Fault(kCaptureInvalidated, "the capture of this stream has been invalidated");
    s.capture->nodes.push_back(std::move(f));
    ++s.capture->members[&s].count;
    return;
  }
  push(s, {std::move(f), nullptr, 0});
}

void record_event(Stream& s, const std::shared_ptr<EventState>& e) {
  if (s.capture) {
    e->capture = s.capture;
    e->captured_in = &s;
    e->captured_at = s.capture->members[&s].count;
    return;
  }
  e->capture = nullptr;
  uint64_t version = ++e->version;
  e->where = &s;
  push(s, {[e, version] {
             e->done = std::max(e->done, version);
             e->seconds = now();
           },
           nullptr, 0});
}

void wait_event(Stream& s, const std::shared_ptr<EventState>& e) {
  if (e->capture) {
    if (s.capture && s.capture != e->capture)
      throw Fault(902, "the event belongs to another capture");
    s.capture = e->capture;
    auto& m = s.capture->members;
    m[&s];
    m[e->captured_in].joined = std::max(m[e->captured_in].joined, e->captured_at);
    return;
  }
  if (s.capture) throw Fault(kCaptureInvalidated + 4, "a captured stream waits for outside work");
  if (e->version == 0) return;
  push(s, {nullptr, e, e->version});
}

void begin_capture(Stream& s, int mode) {
  if (s.capture) throw Fault(kInvalidValue, "the stream is being captured already");
  if (&s == &s.context->null_stream)
    throw Fault(kCaptureUnsupported, "the default stream cannot be captured");
  s.capture = std::make_shared<Graph>();
  s.capture->origin = &s;
  s.capture->mode = mode;
  s.capture->members[&s];
}

std::shared_ptr<Graph> end_capture(Stream& s) {
  auto graph = s.capture;
  if (!graph) throw Fault(kInvalidValue, "the stream is not being captured");
  if (graph->origin != &s) throw Fault(kCaptureUnmatched, "the capture began in another stream");
  bool unjoined = false;
  for (auto& [member, m] : graph->members) {
    member->capture = nullptr;
    unjoined |= member != &s && m.joined < m.count;
  }
  for (auto& [key, e] : driver.events)
    if (e->capture == graph) e->capture = nullptr;
  if (graph->invalid) throw Fault(kCaptureInvalidated, "the capture has been invalidated");
  if (unjoined)
    throw Fault(kCaptureUnjoined, "a stream of the capture was not joined to its first stream");
  return graph;
}

void forbid_while_capturing(const char* call) {
  if (capture_mode == 2) return;
  bool any = false;
  for (auto& c : driver.contexts)
    if (c)
      for (Stream* s : c->streams)
        if (s->capture && s->capture->mode != 2) {
          s->capture->invalid = true;
          any = true;
        }
  if (any) throw Fault(kCaptureUnsupported, std::string(call) + " is not allowed during a capture");
}

void forbid_on_captured(Stream& s, const char* call) {
  if (!s.capture) return;
  s.capture->invalid = true;
  throw Fault(kCaptureUnsupported, std::string(call) + " is not allowed on a captured stream");
}

} // namespace cudasim
