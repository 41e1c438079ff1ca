// Device: where a tensor's bytes live.
#pragma once
#include <cstdint>
#include <string>

#include "error.h"

namespace flambeau {

enum class DeviceType : uint8_t { Cpu, Meta, Cuda };

struct Device {
  DeviceType type = DeviceType::Cpu;
  int8_t index = -1; // -1: not given
  bool is_cpu() const { return type == DeviceType::Cpu; }
  bool is_meta() const { return type == DeviceType::Meta; }
  bool is_cuda() const { return type == DeviceType::Cuda; }
  bool operator==(const Device& o) const { return type == o.type && index == o.index; }
};

Device parse_device(const std::string& text); // "cpu", "meta", "cuda:1"
std::string to_str(const Device& d);
// The device with its index; raises when it cannot hold tensors on this machine.
Device usable(Device d);

} // namespace flambeau
