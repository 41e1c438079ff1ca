// Autocast: floats of chosen functions in a narrower or a wider type, for each kind of device.
#pragma once
#include "py.h"

namespace flambeau::py {

// What happens to the float tensors (all but float64) among the arguments of a function.
enum class Cast : uint8_t {
  None,
  Narrow, // to the type of the context: matrix products and convolutions
  Wide,   // to float32: where range or the sum of many terms counts
  Widest  // to the widest among them
};
struct Casts { // of one function
  Cast cpu = Cast::None, cuda = Cast::None;
};
Casts casts_of(const std::string& function);

// Whether this thread is in an autocast context of any device: the one test that calls make.
extern constinit thread_local bool autocast_on;
void autocast_args(const Casts& casts, Args& args);
Tensor autocast_wide(const Tensor& t); // in float32 if autocast is on for its device

} // namespace flambeau::py
