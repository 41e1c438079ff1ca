// Device names, and the one message for devices this build cannot use.
#include "device.h"

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

void check_usable(const Device& d) {
  if (d.type != DeviceType::Cuda) return;
  FB_CHECK(false, "device '", d,
           "' was asked for, but this build of Flambeau has no CUDA "
           "backend; use device='cpu' (flambeau.cuda.is_available() is False)");
}

} // namespace flambeau
