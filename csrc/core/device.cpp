// Device names, and which devices this machine has.
#include "device.h"

#include "../cuda/device.h"

namespace flambeau {

std::string to_str(const Device& d) {
  static const char* names[] = {"cpu", "meta", "cuda"};
  std::string s = names[int(d.type)];
  if (d.index >= 0) s += ":" + std::to_string(d.index);
  return s;
}

Device parse_device(const std::string& text) {
  size_t colon = text.find(':');
  std::string name = text.substr(0, colon);
  Device d;
  if (name == "cpu")
    d.type = DeviceType::Cpu;
  else if (name == "meta")
    d.type = DeviceType::Meta;
  else if (name == "cuda")
    d.type = DeviceType::Cuda;
  else
    fail(ErrorKind::Runtime,
         "Expected one of cpu, cuda, meta device type at start of device "
         "string: ",
         name);
  if (colon == std::string::npos) return d;
  std::string digits = text.substr(colon + 1);
  bool ok = !digits.empty() && digits.size() < 4;
  for (char c : digits) ok = ok && c >= '0' && c <= '9';
  FB_CHECK(ok && std::stoi(digits) < 128, "Invalid device string: '", text, "'");
  d.index = int8_t(std::stoi(digits));
  return d;
}

Device usable(Device d) {
  if (d.type != DeviceType::Cuda) return d;
  if (d.index < 0) d.index = int8_t(cuda::current_device());
  FB_CHECK(cuda::driver_problem().empty(), "device '", d,
           "' was asked for, but CUDA is not available: ", cuda::driver_problem());
  FB_CHECK(d.index < cuda::device_count(), "device '", d, "' does not exist: this machine has ",
           cuda::device_count(), " usable GPU(s)");
  return d;
}

} // namespace flambeau
