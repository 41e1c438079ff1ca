// What the instruction tables need while PTX text becomes instructions.
#pragma once

#include <deque>
#include <functional>
#include <optional>

#include "isa.h"

namespace cudasim {

enum class Type : uint8_t {
  None,
  U8,
  U16,
  U32,
  U64,
  S8,
  S16,
  S32,
  S64,
  B8,
  B16,
  B32,
  B64,
  B128,
  F16,
  F16x2,
  BF16,
  BF16x2,
  F32,
  F64,
  TF32,
  U16x2,
  S16x2,
  Pred
};
int size_of(Type t); // bytes; 0 for a predicate
bool is_signed(Type t);
bool is_float(Type t);
std::optional<Type> type_named(std::string_view name);

struct Token {
  enum Kind : uint8_t { Word, Number, Punct, String, End } kind;
  std::string_view text;
  uint32_t line;
};
std::vector<Token> tokenize(std::string_view text);

// A register while the kernel is being built; its place in the register file comes last.
struct Virtual {
  enum Kind : uint8_t { Register, Constant, SpecialRegister } kind = Register;
  uint8_t width = 4; // bytes; 0 is a predicate
  Special special{};
  uint64_t low = 0, high = 0; // bits of a constant
};

struct Operand {
  enum Kind : uint8_t { None, Register, Integer, Real, Vector, Address, Symbol, Sink } kind = None;
  uint32_t reg = kNone; // register, or base register of an address
  bool negate = false;  // !p
  int64_t integer = 0;  // value, or offset of an address or a symbol
  double real = 0;
  int real_bits = 0;            // 32 or 64 when written as 0f / 0d, else 0
  std::vector<Operand> parts;   // of a vector; or both halves of d|p
  std::string_view name;        // symbol
  Space space = Space::Generic; // of a symbol
  bool bar = false;             // parts come from d|p
};

class Builder;

// An instruction as written: its dotted name in pieces, and its operands.
struct Raw {
  std::string_view opcode;
  std::vector<std::string_view> mods;
  uint64_t used = 0; // modifiers that the selector understood
  std::vector<Operand> ops;
  uint32_t line = 0;
  Builder* builder = nullptr;

  bool take(std::string_view mod); // true, and marks it, if the modifier is there
  Type type();                     // the next unused modifier that names a type
  bool has_type() const;
  [[noreturn]] void reject(const std::string& why) const;
};

// Turns a Raw into instructions; each family of opcodes registers its selectors.
using Selector = void (*)(Builder&, Raw&);
const std::map<std::string_view, Selector>& selectors();
void register_integer(std::map<std::string_view, Selector>&);
void register_logic(std::map<std::string_view, Selector>&);
void register_float(std::map<std::string_view, Selector>&);
void register_half(std::map<std::string_view, Selector>&);
void register_convert(std::map<std::string_view, Selector>&);
void register_compare(std::map<std::string_view, Selector>&);
void register_memory(std::map<std::string_view, Selector>&);
void register_atomic(std::map<std::string_view, Selector>&);
void register_warp(std::map<std::string_view, Selector>&);
void register_matrix(std::map<std::string_view, Selector>&);

// The kernel under construction.
class Builder {
 public:
  Kernel& kernel;
  std::vector<Virtual> virtuals;
  struct Slots {
    uint32_t uses = 0, defs = 0; // bits of Insn::o; bits 8 and up: Kernel::more
    uint64_t more_uses = 0, more_defs = 0;
  };
  std::vector<Slots> slots; // beside Kernel::code

  explicit Builder(Kernel& k) : kernel(k) {}

  // Registers; `exact` asks that the width be that of the type.
  uint32_t source(Raw& raw, const Operand& op, Type t, bool exact = true);
  uint32_t target(Raw& raw, const Operand& op, Type t, bool exact = true);
  uint32_t predicate(Raw& raw, const Operand& op); // no negation allowed
  uint32_t constant(uint64_t low, uint8_t width, uint64_t high = 0);
  uint32_t scratch(uint8_t width); // a fresh register
  uint32_t special(Special s);
  int width(uint32_t reg) const { return virtuals[reg].width; }

  // Appends an instruction whose operands o[0..] are given; the first `defs` are written.
  Insn& emit(Raw& raw, Handler h, std::initializer_list<uint32_t> operands, int defs = 1);
  // The register of an address and what the instruction must know of it.
  struct Place {
    uint32_t base;
    int64_t offset;
    bool narrow;
    Space space;
  };
  Place address(Raw& raw, const Operand& op, Space space);
  void notice_size(Space space, int bytes); // keeps the shadow of shared memory fine enough

  uint32_t pred = kNone; // guard of the instruction being selected
  bool pred_negate = false;
  std::map<std::tuple<uint64_t, uint64_t, uint8_t>, uint32_t> constants;
  std::map<Special, uint32_t> specials;
};

} // namespace cudasim
