// The compact form of a kernel that the interpreter runs: instructions, registers, launch
// parameters.
#pragma once

#include <cstdint>
#include <cstring>
#include <map>
#include <memory>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

namespace cudasim {

constexpr int kLanes = 32;
constexpr uint32_t kNone = 0xffffffffu;
constexpr uint32_t kFull = 0xffffffffu;
using Mask = uint32_t; // one bit per lane of a warp

// Generic addresses of shared and local memory lie in windows far above all real addresses.
constexpr uint64_t kSharedWindow = uint64_t(1) << 56;
constexpr uint64_t kLocalWindow = uint64_t(2) << 56;
constexpr uint64_t kParamWindow = uint64_t(3) << 56;
// Shared memory starts above address 0, so that a null pointer is never a valid one.
constexpr uint32_t kSharedStart = 1024;
constexpr uint32_t kLocalStart = 256;

// CUDA driver error codes that the simulator itself raises.
enum Error : int {
  kInvalidValue = 1,
  kOutOfMemory = 2,
  kNotInitialized = 3,
  kNoDevice = 100,
  kInvalidDevice = 101,
  kInvalidContext = 201,
  kInvalidPtx = 218,
  kInvalidHandle = 400,
  kNotFound = 500,
  kNotReady = 600,
  kIllegalAddress = 700,
  kLaunchOutOfResources = 701,
  kAssert = 710,
  kMisaligned = 716,
  kLaunchFailed = 719,
  kNotSupported = 801,
  kCaptureUnsupported = 900,
  kCaptureInvalidated = 901,
  kCaptureUnmatched = 903,
  kCaptureUnjoined = 904,
  kCapturedEvent = 907,
};

// Thrown by a check; the launch turns it into the sticky error of the context.
struct Fault : std::runtime_error {
  int code;
  Fault(int c, const std::string& text) : std::runtime_error(text), code(c) {}
};

struct Warp;
struct Insn;
using Handler = void (*)(Warp&, const Insn&, Mask);

// What an instruction does to the flow of control; `Step` falls through to the next one.
enum class Flow : uint8_t { Step, Branch, Table, Exit, Barrier, Collective };

enum class Space : uint8_t { Generic, Global, Shared, Local, Const, Param };

constexpr int kOperands = 8;

struct Insn {
  Handler run = nullptr;
  uint32_t o[kOperands] = {kNone, kNone, kNone, kNone, kNone, kNone, kNone, kNone};
  int64_t imm = 0;       // address offset or another constant
  uint32_t pred = kNone; // predicate register
  uint32_t flags = 0;    // meaning depends on the handler
  uint32_t target = 0;   // branch target, or index of the table of targets
  uint32_t line = 0;     // line of the PTX text
  uint32_t more = 0;     // index into Kernel::more for instructions with many operands
  Flow flow = Flow::Step;
  bool negate = false; // the predicate is negated
  Space space = Space::Generic;
  uint8_t count = 1; // elements of a vector load or store
};

// Special registers; the values up to CtaidZ change from block to block.
enum class Special : uint8_t {
  CtaidX,
  CtaidY,
  CtaidZ,
  TidX,
  TidY,
  TidZ,
  NtidX,
  NtidY,
  NtidZ,
  NctaidX,
  NctaidY,
  NctaidZ,
  LaneId,
  WarpId,
  NwarpId,
  SmId,
  NsmId,
  LanemaskEq,
  LanemaskLe,
  LanemaskLt,
  LanemaskGe,
  LanemaskGt,
  DynamicShared,
  TotalShared,
  GridId
};

struct Param {
  uint32_t offset, size;
};

struct Kernel {
  std::string name;
  std::vector<Insn> code;
  std::vector<std::vector<uint32_t>> tables; // targets of indexed branches
  std::vector<std::vector<uint32_t>> more;   // operand lists of wide instructions
  std::vector<std::string> strings;          // texts for messages
  std::vector<Param> params;
  uint32_t param_bytes = 0;
  std::vector<uint8_t> constants; // start of the register file: broadcast constants
  uint32_t register_bytes = 0;    // whole register file of a warp
  std::vector<std::pair<Special, uint32_t>> specials;
  uint32_t shared_static = 0;
  bool shared_dynamic = false;
  uint32_t shared_align = 1;
  uint32_t local_bytes = 0; // per thread
  uint32_t grain = 4;       // bytes per cell of the shared memory shadow
  uint32_t max_threads = 1024;
  uint32_t registers = 0;                  // a rough figure for cuFuncGetAttribute
  uint32_t max_dynamic_shared = 48 * 1024; // raised by cuFuncSetAttribute
  int module_device = 0;
};

// A parsed module: kernels by name and the addresses of its device variables.
struct Module {
  std::map<std::string, std::unique_ptr<Kernel>, std::less<>> kernels;
  std::map<std::string, std::pair<uint64_t, uint64_t>, std::less<>> variables; // address, size
  std::vector<uint64_t> allocations;
};

// Parses PTX text; throws Fault(kInvalidPtx) with the line and the text of what is not understood.
std::unique_ptr<Module> load_module(std::string_view ptx, int device);

} // namespace cudasim
