// Driver entry points: streams, events, captures and graphs.
#include "context.h"

using namespace cudasim;

namespace {

std::shared_ptr<EventState> event_of(void* handle) {
  context();
  auto it = driver.events.find(static_cast<EventState*>(handle));
  if (it == driver.events.end()) throw Fault(kInvalidHandle, "this is not a live event");
  return it->second;
}

} // namespace

CUDASIM_API int cuStreamCreateWithPriority(void** out, unsigned flags, int) {
  return guarded([&] {
    Context& c = context();
    auto* s = new Stream;
    s->context = &c;
    s->blocking = !(flags & 1);
    c.streams.insert(s);
    *out = s;
    return 0;
  });
}

CUDASIM_API int cuStreamCreate(void** out, unsigned flags) {
  return cuStreamCreateWithPriority(out, flags, 0);
}

CUDASIM_API int cuStreamDestroy_v2(void* handle) {
  return guarded([&] {
    Stream& s = stream_of(handle);
    if (&s == &s.context->null_stream) return int(kInvalidHandle);
    drain(s);
    for (auto& [key, e] : driver.events)
      if (e->where == &s) e->where = nullptr;
    s.context->streams.erase(&s);
    int sticky = s.context->sticky;
    delete &s;
    return sticky;
  });
}

CUDASIM_API int cuStreamSynchronize(void* handle) {
  return guarded([&] {
    Stream& s = stream_of(handle);
    forbid_on_captured(s, "cuStreamSynchronize");
    if (&s == &s.context->null_stream)
      for (Stream* other : s.context->streams)
        if (other->blocking) drain(*other);
    drain(s);
    return s.context->sticky;
  });
}

CUDASIM_API int cuStreamQuery(void* handle) {
  return guarded([&] {
    Stream& s = stream_of(handle);
    forbid_on_captured(s, "cuStreamQuery");
    if (s.queue.empty()) return s.context->sticky;
    advance(s);
    return s.context->sticky ? s.context->sticky : int(kNotReady);
  });
}

CUDASIM_API int cuStreamWaitEvent(void* handle, void* event, unsigned) {
  return guarded([&] {
    wait_event(stream_of(handle), event_of(event));
    return 0;
  });
}

CUDASIM_API int cuLaunchHostFunc(void* handle, void (*f)(void*), void* data) {
  return guarded([&] {
    if (!f) return int(kInvalidValue);
    enqueue(stream_of(handle), [=] { f(data); });
    return 0;
  });
}

// ---- events ------------------------------------------------------------------------------------

CUDASIM_API int cuEventCreate(void** out, unsigned flags) {
  return guarded([&] {
    context();
    auto e = std::make_shared<EventState>();
    e->timing = !(flags & 2);
    driver.events[e.get()] = e;
    *out = e.get();
    return 0;
  });
}

CUDASIM_API int cuEventDestroy_v2(void* handle) {
  return guarded([&] {
    event_of(handle);
    driver.events.erase(static_cast<EventState*>(handle));
    return 0;
  });
}

CUDASIM_API int cuEventRecord(void* handle, void* stream) {
  return guarded([&] {
    record_event(stream_of(stream), event_of(handle));
    return 0;
  });
}

namespace {
int forbid_captured_event(const EventState& e) {
  if (!e.capture) return 0;
  e.capture->invalid = true;
  throw Fault(kCapturedEvent, "the event was recorded in a capture");
}
} // namespace

CUDASIM_API int cuEventQuery(void* handle) {
  return guarded([&] {
    auto e = event_of(handle);
    forbid_captured_event(*e);
    if (e->done >= e->version) return context().sticky;
    if (e->where) advance(*e->where);
    return context().sticky ? context().sticky : int(kNotReady);
  });
}

CUDASIM_API int cuEventSynchronize(void* handle) {
  return guarded([&] {
    auto e = event_of(handle);
    forbid_captured_event(*e);
    satisfy(*e, e->version);
    return current_context->sticky;
  });
}

CUDASIM_API int cuEventElapsedTime(float* milliseconds, void* start, void* end) {
  return guarded([&] {
    auto a = event_of(start), b = event_of(end);
    if (!a->timing || !b->timing || !a->version || !b->version) return int(kInvalidHandle);
    if (a->done < a->version || b->done < b->version) return int(kNotReady);
    *milliseconds = float((b->seconds - a->seconds) * 1000);
    return 0;
  });
}

// ---- captures and graphs -----------------------------------------------------------------------

CUDASIM_API int cuStreamBeginCapture_v2(void* handle, int mode) {
  return guarded([&] {
    begin_capture(stream_of(handle), mode);
    return 0;
  });
}

CUDASIM_API int cuStreamEndCapture(void* handle, void** out) {
  return guarded([&] {
    *out = nullptr;
    auto graph = end_capture(stream_of(handle));
    driver.graphs[graph.get()] = graph;
    *out = graph.get();
    return 0;
  });
}

CUDASIM_API int cuStreamIsCapturing(void* handle, int* status) {
  return guarded([&] {
    Stream& s = stream_of(handle);
    *status = !s.capture ? 0 : s.capture->invalid ? 2 : 1;
    return 0;
  });
}

CUDASIM_API int cuThreadExchangeStreamCaptureMode(int* mode) {
  std::swap(*mode, capture_mode);
  return 0;
}

CUDASIM_API int cuGraphInstantiateWithFlags(void** out, void* graph, unsigned long long) {
  return guarded([&] {
    context();
    auto it = driver.graphs.find(static_cast<Graph*>(graph));
    if (it == driver.graphs.end()) return int(kInvalidValue);
    auto exec = std::make_shared<GraphExec>();
    exec->nodes = it->second->nodes;
    driver.execs[exec.get()] = exec;
    *out = exec.get();
    return 0;
  });
}

CUDASIM_API int cuGraphLaunch(void* handle, void* stream) {
  return guarded([&] {
    Stream& s = stream_of(stream);
    auto it = driver.execs.find(static_cast<GraphExec*>(handle));
    if (it == driver.execs.end()) return int(kInvalidValue);
    enqueue(s, [exec = it->second] {
      for (auto& node : exec->nodes) node();
    });
    return 0;
  });
}

CUDASIM_API int cuGraphExecDestroy(void* handle) {
  return guarded(
      [&] { return driver.execs.erase(static_cast<GraphExec*>(handle)) ? 0 : int(kInvalidValue); });
}

CUDASIM_API int cuGraphDestroy(void* handle) {
  return guarded(
      [&] { return driver.graphs.erase(static_cast<Graph*>(handle)) ? 0 : int(kInvalidValue); });
}
