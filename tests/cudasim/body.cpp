// Compiles the body of a kernel: scopes, operands, branches, and calls, which are expanded in
// place.
#include <algorithm>

#include "machine.h"
#include "unit.h"

namespace cudasim {

Raw begin_raw(Builder& b, std::string_view opcode, uint32_t line) {
  Raw raw;
  raw.opcode = opcode;
  raw.line = line;
  raw.builder = &b;
  size_t dot = opcode.find('.');
  while (dot != std::string_view::npos) {
    size_t end = opcode.find('.', dot + 1);
    raw.mods.push_back(opcode.substr(dot + 1, end == std::string_view::npos ? end : end - dot - 1));
    dot = end;
  }
  return raw;
}

const std::map<std::string_view, Selector>& selectors() {
  static const auto table = [] {
    std::map<std::string_view, Selector> t;
    register_integer(t);
    register_logic(t);
    register_float(t);
    register_half(t);
    register_convert(t);
    register_compare(t);
    register_memory(t);
    register_atomic(t);
    register_warp(t);
    register_matrix(t);
    return t;
  }();
  return table;
}

namespace {

const std::map<std::string_view, Special> special_names = {
    {"%tid.x", Special::TidX},
    {"%tid.y", Special::TidY},
    {"%tid.z", Special::TidZ},
    {"%ntid.x", Special::NtidX},
    {"%ntid.y", Special::NtidY},
    {"%ntid.z", Special::NtidZ},
    {"%ctaid.x", Special::CtaidX},
    {"%ctaid.y", Special::CtaidY},
    {"%ctaid.z", Special::CtaidZ},
    {"%nctaid.x", Special::NctaidX},
    {"%nctaid.y", Special::NctaidY},
    {"%nctaid.z", Special::NctaidZ},
    {"%laneid", Special::LaneId},
    {"%warpid", Special::WarpId},
    {"%nwarpid", Special::NwarpId},
    {"%smid", Special::SmId},
    {"%nsmid", Special::NsmId},
    {"%lanemask_eq", Special::LanemaskEq},
    {"%lanemask_le", Special::LanemaskLe},
    {"%lanemask_lt", Special::LanemaskLt},
    {"%lanemask_ge", Special::LanemaskGe},
    {"%lanemask_gt", Special::LanemaskGt},
    {"%dynamic_smem_size", Special::DynamicShared},
    {"%total_smem_size", Special::TotalShared},
    {"%gridid", Special::GridId}};

struct Symbol {
  enum Kind : uint8_t { Register, Range, Shared, Dynamic, Local, KernelParam } kind;
  uint32_t value = 0; // register, or address within the space
  uint32_t count = 0; // of a range
};

using Scope = std::map<std::string_view, Symbol>;

struct Frame {
  const Function* function = nullptr;
  size_t first_scope = 0; // scopes below belong to the callers
  std::map<std::string_view, uint32_t> labels;
  std::map<std::string_view, uint32_t> tables;
  struct Fixup {
    uint32_t insn;
    std::string_view label;
    uint32_t line;
  };
  std::vector<Fixup> fixups;
  std::vector<std::pair<uint32_t, std::vector<std::string_view>>> table_labels;
  std::vector<uint32_t> returns; // instructions that jump to the end
};

struct Body : Reader {
  Unit& unit;
  Kernel& kernel;
  Builder b;
  std::vector<Scope> scopes;
  std::vector<Frame> frames;
  Scope shared;                  // module-level shared variables used so far
  std::vector<uint32_t> dynamic; // constants that move behind the static shared memory

  Body(Unit& u, Kernel& k) : Reader{u.tokens}, unit(u), kernel(k), b(k) {}

  void run(const Function& f) {
    Scope params;
    for (const Variable& v : f.params) {
      kernel.param_bytes = (kernel.param_bytes + v.align - 1) / v.align * v.align;
      params[v.name] = {Symbol::KernelParam, kernel.param_bytes};
      kernel.params.push_back({kernel.param_bytes, uint32_t(v.size)});
      kernel.param_bytes += uint32_t(v.size);
    }
    kernel.max_threads = f.max_threads;
    expand(f, std::move(params));
    // a body that falls off its end leaves as `ret` does
    Raw raw = begin_raw(b, "ret", peek().line);
    b.emit(raw, nullptr, {}).flow = Flow::Exit;
    uint32_t start = kSharedStart + (kernel.shared_static + 15) / 16 * 16;
    for (uint32_t c : dynamic) b.virtuals[c].low += start;
    kernel.shared_dynamic = !dynamic.empty();
    finish(b);
  }

 private:
  void expand(const Function& f, Scope bindings) {
    for (const Frame& fr : frames)
      if (fr.function == &f) fail("recursion is not supported");
    size_t resume = at;
    frames.emplace_back();
    frames.back().function = &f;
    frames.back().first_scope = scopes.size();
    scopes.push_back(std::move(bindings));
    scopes.emplace_back();
    at = f.body;
    size_t depth = scopes.size();
    while (!(is("}") && scopes.size() == depth)) {
      if (peek().kind == Token::End) fail("a function has no end");
      statement();
    }
    close_frame();
    scopes.resize(frames.back().first_scope);
    frames.pop_back();
    at = resume;
  }

  void close_frame() {
    Frame& fr = frames.back();
    auto place = [&](std::string_view label, uint32_t line) {
      auto it = fr.labels.find(label);
      if (it == fr.labels.end())
        throw Fault(kInvalidPtx,
                    "PTX line " + std::to_string(line) + ": no label `" + std::string(label) + "`");
      return it->second;
    };
    for (auto& x : fr.fixups) kernel.code[x.insn].target = place(x.label, x.line);
    for (auto& [table, names] : fr.table_labels)
      for (auto& n : names) kernel.tables[table].push_back(place(n, 0));
    for (uint32_t r : fr.returns) kernel.code[r].target = uint32_t(kernel.code.size());
  }

  void statement() {
    const Token& t = peek();
    if (accept("{")) return void(scopes.emplace_back());
    if (accept("}")) return scopes.pop_back();
    if (accept(";")) return;
    if (t.kind == Token::Word && is(":", 1)) return label();
    if (t.kind == Token::Word && t.text[0] == '.') return directive();
    b.pred = kNone;
    b.pred_negate = false;
    if (accept("@")) {
      b.pred_negate = accept("!");
      Operand p = named(next());
      if (p.kind != Operand::Register || b.width(p.reg)) fail("a guard is not a predicate");
      b.pred = p.reg;
    }
    instruction();
  }

  void label() {
    std::string_view name = next().text;
    next();
    Frame& fr = frames.back();
    if (accept(".branchtargets")) {
      uint32_t table = uint32_t(kernel.tables.size());
      kernel.tables.emplace_back();
      fr.tables[name] = table;
      auto& names = fr.table_labels.emplace_back(table, std::vector<std::string_view>()).second;
      do names.push_back(next().text);
      while (accept(","));
      return expect(";");
    }
    if (is(".callprototype")) fail("calls through pointers are not supported");
    fr.labels[name] = uint32_t(kernel.code.size());
  }

  void directive() {
    Token word = next();
    if (word.text == ".reg") return registers();
    if (word.text == ".pragma") {
      next();
      return expect(";");
    }
    if (word.text == ".loc" || word.text == ".file") {
      while (peek().line == word.line) next();
      return;
    }
    if (word.text == ".local" || word.text == ".param") {
      Variable v = declaration(Space::Local);
      scopes.back()[v.name] = {Symbol::Local, local_room(v)};
    } else if (word.text == ".shared") {
      Variable v = declaration(Space::Shared);
      scopes.back()[v.name] = {Symbol::Shared, shared_room(v)};
    } else
      fail("the directive `" + std::string(word.text) + "` is not supported");
    expect(";");
  }

  uint32_t local_room(const Variable& v) {
    uint32_t at = (kernel.local_bytes + v.align - 1) / v.align * v.align;
    kernel.local_bytes = at + uint32_t(v.size);
    return kLocalStart + at;
  }

  uint32_t shared_room(const Variable& v) {
    uint32_t at = (kernel.shared_static + v.align - 1) / v.align * v.align;
    kernel.shared_static = at + uint32_t(v.size);
    kernel.shared_align = std::max(kernel.shared_align, v.align);
    return kSharedStart + at;
  }

  void registers() {
    std::string_view type = next().text;
    auto t = type_named(type.substr(1));
    if (!t || (*t != Type::Pred && size_of(*t) == 0)) fail("a register of unknown type");
    uint8_t width = uint8_t(*t == Type::Pred ? 0 : std::max(2, size_of(*t)));
    do {
      std::string_view name = next().text;
      uint32_t first = uint32_t(b.virtuals.size());
      uint32_t count = 1;
      if (accept("<")) {
        count = uint32_t(integer());
        expect(">");
        scopes.back()[name] = {Symbol::Range, first, count};
      } else
        scopes.back()[name] = {Symbol::Register, first};
      b.virtuals.resize(first + count, Virtual{Virtual::Register, width});
    } while (accept(","));
    expect(";");
  }

  const Symbol* find(std::string_view name) {
    size_t digits = name.size();
    while (digits && name[digits - 1] >= '0' && name[digits - 1] <= '9') --digits;
    std::string_view stem = name.substr(0, digits);
    for (size_t s = scopes.size(); s-- > frames.back().first_scope;) {
      auto it = scopes[s].find(name);
      if (it != scopes[s].end()) return &it->second;
      if (digits == name.size()) continue;
      it = scopes[s].find(stem);
      if (it == scopes[s].end() || it->second.kind != Symbol::Range) continue;
      uint32_t index = uint32_t(std::stoul(std::string(name.substr(digits))));
      if (index >= it->second.count) continue;
      one = {Symbol::Register, it->second.value + index};
      return &one;
    }
    return nullptr;
  }
  Symbol one;

  // The operand that a word stands for: a register, a special register, or the address of a
  // variable.
  Operand named(const Token& t) {
    Operand op;
    if (t.text == "_") {
      op.kind = Operand::Sink;
      return op;
    }
    if (const Symbol* s = find(t.text)) return of_symbol(*s, t.text);
    auto sp = special_names.find(t.text);
    if (sp != special_names.end()) {
      op.kind = Operand::Register;
      op.reg = b.special(sp->second);
      return op;
    }
    if (t.text == "WARP_SZ") {
      op.kind = Operand::Integer;
      op.integer = kLanes;
      return op;
    }
    op.kind = Operand::Symbol;
    op.name = t.text;
    auto v = unit.variables.find(t.text);
    if (v == unit.variables.end()) return op;
    if (v->second.space == Space::Shared) return module_shared(v->second);
    if (!v->second.address) fail("`" + std::string(t.text) + "` is declared but not defined");
    op.space = v->second.space;
    op.integer = int64_t(v->second.address);
    return op;
  }

  Operand of_symbol(const Symbol& s, std::string_view name) {
    Operand op;
    op.name = name;
    op.kind = s.kind == Symbol::Register ? Operand::Register : Operand::Symbol;
    op.reg = s.kind == Symbol::Register ? s.value : kNone;
    bool fixed = s.kind != Symbol::Register && s.kind != Symbol::Dynamic;
    op.integer = fixed ? s.value : 0;
    switch (s.kind) {
    case Symbol::Range: fail("a register range is not an operand");
    case Symbol::Shared:
    case Symbol::Dynamic: op.space = Space::Shared; break;
    case Symbol::Local: op.space = Space::Local; break;
    case Symbol::KernelParam: op.space = Space::Param; break;
    default: break;
    }
    if (s.kind == Symbol::Dynamic) op.reg = s.value;
    return op;
  }

  Operand module_shared(const Variable& v) {
    auto it = shared.find(v.name);
    if (it == shared.end()) {
      Symbol s{Symbol::Shared};
      if (v.is_extern && !v.size) {
        s.kind = Symbol::Dynamic;
        s.value = uint32_t(b.virtuals.size());
        b.virtuals.push_back({Virtual::Constant, 4});
        dynamic.push_back(s.value);
      } else
        s.value = shared_room(v);
      it = shared.emplace(v.name, s).first;
    }
    return of_symbol(it->second, v.name);
  }

  Operand number() {
    Operand op;
    bool minus = accept("-");
    std::string text(next().text);
    bool hex_real = text.size() > 2 && text[0] == '0' &&
                    (text[1] == 'f' || text[1] == 'F' || text[1] == 'd' || text[1] == 'D');
    if (hex_real) {
      op.kind = Operand::Real;
      op.integer = int64_t(std::stoull(text.substr(2), nullptr, 16));
      op.real_bits = text[1] == 'f' || text[1] == 'F' ? 32 : 64;
      if (op.real_bits == 32) {
        if (minus) op.integer ^= 0x80000000;
        uint32_t bits = uint32_t(op.integer);
        float f;
        std::memcpy(&f, &bits, 4);
        op.real = f;
      } else {
        std::memcpy(&op.real, &op.integer, 8);
        if (minus) op.real = -op.real;
      }
    } else if (text.find('.') != std::string::npos ||
               (text[1] != 'x' && text.find_first_of("eE") != std::string::npos)) {
      op.kind = Operand::Real;
      op.real = std::stod(text) * (minus ? -1 : 1);
    } else {
      op.kind = Operand::Integer;
      while (text.back() == 'U' || text.back() == 'u') text.pop_back();
      op.integer = int64_t(std::stoull(text, nullptr, 0));
      if (minus) op.integer = -op.integer;
    }
    return op;
  }

  Operand operand() {
    if (accept("{")) {
      Operand op;
      op.kind = Operand::Vector;
      do op.parts.push_back(operand());
      while (accept(","));
      expect("}");
      return op;
    }
    if (accept("[")) return address();
    if (accept("!")) {
      Operand op = named(next());
      op.negate = true;
      return op;
    }
    if (is("-") || peek().kind == Token::Number) return number();
    if (peek().kind != Token::Word) fail("an operand expected");
    Operand op = named(next());
    if (op.kind == Operand::Symbol && accept("+")) op.integer += integer();
    if (accept("|")) {
      Operand pair;
      pair.bar = true;
      pair.kind = Operand::Vector;
      pair.parts = {op, named(next())};
      return pair;
    }
    return op;
  }

  Operand address() {
    Operand op = is("-") || peek().kind == Token::Number ? number() : named(next());
    if (op.kind != Operand::Register && op.kind != Operand::Symbol && op.kind != Operand::Integer)
      fail("an address is a register, a variable or a number");
    if (op.kind == Operand::Symbol && op.space == Space::Generic)
      fail("the variable `" + std::string(op.name) + "` is not known");
    while (!accept("]")) {
      accept("+");
      op.integer += integer();
    }
    op.kind = Operand::Address;
    return op;
  }

  void instruction() {
    Token word = next();
    if (word.kind != Token::Word) {
      --at;
      fail("an instruction expected");
    }
    Raw raw = begin_raw(b, word.text, word.line);
    std::string_view base = word.text.substr(0, word.text.find('.'));
    if (base == "bra") return branch(raw);
    if (base == "brx") return indexed_branch(raw);
    if (base == "call") return call(raw);
    if (base == "ret" || base == "exit") return leave(raw, base == "exit");
    while (!is(";")) {
      raw.ops.push_back(operand());
      if (!is(";")) expect(",");
    }
    expect(";");
    select(raw, base)(b, raw);
    for (size_t i = 0; i < raw.mods.size(); ++i)
      if (!(raw.used >> i & 1))
        raw.reject("the modifier `." + std::string(raw.mods[i]) + "` is not supported");
  }

  // `add` of floats and of halves are registered as add.f and add.h.
  Selector select(Raw& raw, std::string_view base) {
    std::string key(base);
    for (auto m : raw.mods)
      if (auto t = type_named(m)) {
        key += *t == Type::F32 || *t == Type::F64 ? ".f" : is_float(*t) ? ".h" : "";
        break;
      }
    auto it = selectors().find(key);
    if (it == selectors().end()) it = selectors().find(base);
    if (it == selectors().end()) raw.reject("this instruction is not supported");
    return it->second;
  }

  void branch(Raw& raw) {
    std::string_view to = next().text;
    expect(";");
    frames.back().fixups.push_back({uint32_t(kernel.code.size()), to, raw.line});
    b.emit(raw, nullptr, {}).flow = Flow::Branch;
  }

  void indexed_branch(Raw& raw) {
    Operand index = operand();
    expect(",");
    auto it = frames.back().tables.find(next().text);
    expect(";");
    if (it == frames.back().tables.end()) raw.reject("its .branchtargets come later or never");
    if (b.pred != kNone) raw.reject("a guard on an indexed branch is not supported");
    Insn& in = b.emit(raw, nullptr, {b.source(raw, index, Type::U32)}, 0);
    in.flow = Flow::Table;
    in.target = it->second;
  }

  void leave(Raw& raw, bool whole) {
    expect(";");
    bool inner = frames.size() > 1 && !whole;
    if (inner) frames.back().returns.push_back(uint32_t(kernel.code.size()));
    b.emit(raw, nullptr, {}).flow = inner ? Flow::Branch : Flow::Exit;
  }

  std::vector<Operand> arguments() {
    std::vector<Operand> out;
    expect("(");
    while (!accept(")")) {
      out.push_back(operand());
      accept(",");
    }
    return out;
  }

  void call(Raw& raw) {
    std::vector<Operand> results, args;
    if (is("(")) {
      results = arguments();
      expect(",");
    }
    std::string_view name = next().text;
    if (accept(",")) {
      if (!is("(")) raw.reject("calls through pointers are not supported");
      args = arguments();
    }
    expect(";");
    auto it = unit.functions.find(name);
    if (it == unit.functions.end()) raw.reject("calls through pointers are not supported");
    const Function& f = it->second;
    if (!f.body) return builtin(raw, f, args);
    if (args.size() != f.params.size() || results.size() != f.results.size())
      raw.reject("wrong number of arguments");
    Scope bindings;
    auto bind = [&](const Variable& v, const Operand& op) {
      if (op.kind != Operand::Symbol || op.space != Space::Local)
        raw.reject("an argument is not a .param variable");
      bindings[v.name] = {Symbol::Local, uint32_t(op.integer)};
    };
    for (size_t i = 0; i < args.size(); ++i) bind(f.params[i], args[i]);
    for (size_t i = 0; i < results.size(); ++i) bind(f.results[i], results[i]);
    uint32_t guard = kNone;
    if (b.pred != kNone) { // a guarded call: jump over it
      guard = uint32_t(kernel.code.size());
      Insn& skip = b.emit(raw, nullptr, {});
      skip.flow = Flow::Branch;
      skip.negate = !skip.negate;
    }
    expand(f, std::move(bindings));
    if (guard != kNone) kernel.code[guard].target = uint32_t(kernel.code.size());
  }

  void builtin(Raw& raw, const Function& f, const std::vector<Operand>& args);
};

// Functions that the device runtime offers: a failed assertion, and printf.
void assert_failed(Warp& w, const Insn& in, Mask m) {
  fault(w, in, __builtin_ctz(m), kAssert, "a device assertion failed");
}

void Body::builtin(Raw& raw, const Function& f, const std::vector<Operand>& args) {
  if (f.name == "__assertfail") {
    b.emit(raw, assert_failed, {});
    return;
  }
  if (f.name == "vprintf" && args.size() == 2) return; // its text goes nowhere
  raw.reject("the function `" + std::string(f.name) + "` has no body");
}

} // namespace

void compile_kernel(Unit& unit, const Function& entry, Kernel& kernel) {
  Body(unit, kernel).run(entry);
}

} // namespace cudasim
