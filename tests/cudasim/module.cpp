// The top level of a PTX module: variables with their initial values, and function headers.
#include "memory.h"
#include "unit.h"

namespace cudasim {

bool Reader::accept(std::string_view text) {
  if (!is(text)) return false;
  next();
  return true;
}

void Reader::expect(std::string_view text) {
  if (!accept(text)) fail("`" + std::string(text) + "` expected");
}

void Reader::fail(const std::string& why) const {
  throw Fault(kInvalidPtx, "PTX line " + std::to_string(peek().line) + " at `" +
                               std::string(peek().text) + "`: " + why);
}

int64_t Reader::integer() {
  bool minus = accept("-");
  if (peek().kind != Token::Number) fail("a number expected");
  int64_t v = int64_t(std::stoull(std::string(next().text), nullptr, 0));
  return minus ? -v : v;
}

Variable Reader::declaration(Space space) {
  Variable v;
  v.space = space;
  for (; peek().kind == Token::Word && peek().text[0] == '.';) {
    std::string_view word = next().text;
    if (word == ".align")
      v.align = uint32_t(integer());
    else if (auto t = type_named(word.substr(1)))
      v.type = *t;
    else if (word == ".v2" || word == ".v4")
      fail("vector variables are not supported");
    else if (word != ".ptr" && word != ".global" && word != ".const" && word != ".shared" &&
             word != ".local" && word != ".managed" && word != ".generic")
      fail("`" + std::string(word) + "` is not understood in a declaration");
  }
  if (v.type == Type::None) fail("a declaration without a type");
  v.name = next().text;
  uint64_t count = 1;
  while (accept("[")) {
    count *= is("]") ? 0 : uint64_t(integer());
    expect("]");
  }
  v.size = count * size_of(v.type);
  v.align = std::max<uint32_t>(v.align, size_of(v.type));
  return v;
}

void Reader::skip_braces() {
  for (int depth = 1; depth; next()) {
    if (peek().kind == Token::End) fail("a `}` is missing");
    depth += is("{") ? 1 : is("}") ? -1 : 0;
  }
}

namespace {

struct TopLevel : Reader {
  Unit& unit;
  Module& module;
  int device;

  TopLevel(Unit& u, Module& m, int d) : Reader{u.tokens}, unit(u), module(m), device(d) {}

  void run() {
    while (peek().kind != Token::End) item();
  }

 private:
  void item() {
    bool is_extern = false;
    for (;;) {
      std::string_view word = next().text;
      if (word == ".visible" || word == ".weak" || word == ".common") continue;
      if (word == ".extern")
        is_extern = true;
      else if (word == ".version" || word == ".address_size")
        return void(next());
      else if (word == ".target")
        return target();
      else if (word == ".global")
        return variable(Space::Global, is_extern);
      else if (word == ".const")
        return variable(Space::Const, is_extern);
      else if (word == ".shared")
        return variable(Space::Shared, is_extern);
      else if (word == ".entry" || word == ".func")
        return function(word == ".entry");
      else if (word == ".file" || word == ".loc")
        return skip_line();
      else if (word == ".section")
        return section();
      else if (word == ";")
        return;
      else {
        --at;
        fail("not understood at the top level");
      }
    }
  }

  void target() {
    next();
    while (accept(",")) next();
  }

  void skip_line() {
    uint32_t line = tokens[at - 1].line;
    while (peek().kind != Token::End && peek().line == line) next();
  }

  void section() {
    while (!is("{")) next();
    next();
    skip_braces();
  }

  void variable(Space space, bool is_extern) {
    Variable v = declaration(space);
    v.is_extern = is_extern;
    std::vector<uint8_t> bytes;
    if (accept("=")) {
      bytes.resize(v.size);
      initial(v, bytes);
    }
    expect(";");
    if (space != Space::Shared && !is_extern) {
      v.address = device_alloc(device, std::max<uint64_t>(v.size, 1), true);
      if (!v.address) throw Fault(kOutOfMemory, "no room for the variables of the module");
      module.allocations.push_back(v.address);
      module.variables.emplace(std::string(v.name), std::pair(v.address, v.size));
      uint8_t* at = view(v.address, v.size, "a variable");
      std::memset(at, 0, v.size);
      std::memcpy(at, bytes.data(), bytes.size());
    }
    unit.variables[v.name] = v;
  }

  void initial(const Variable& v, std::vector<uint8_t>& bytes) {
    size_t filled = 0, width = size_of(v.type);
    auto one = [&] {
      uint64_t bits = value(v.type);
      if (filled + width > bytes.size()) fail("more initial values than elements");
      std::memcpy(bytes.data() + filled, &bits, width);
      filled += width;
    };
    if (!is("{")) return one();
    list(one);
  }

  template<class F>
  void list(F& one) {
    expect("{");
    while (!accept("}")) {
      if (is("{"))
        list(one);
      else
        one();
      accept(",");
    }
  }

  uint64_t value(Type t) {
    if (peek().kind == Token::Number || is("-")) {
      std::string text(is("-") ? peek(1).text : peek().text);
      bool real = text.size() > 2 && (text.substr(0, 2) == "0f" || text.substr(0, 2) == "0d");
      if (!real) return uint64_t(integer());
      uint64_t bits = std::stoull(text.substr(2), nullptr, 16);
      bool minus = accept("-");
      next();
      return minus ? bits ^ uint64_t(1) << (size_of(t) * 8 - 1) : bits;
    }
    bool generic = accept("generic");
    if (generic) expect("(");
    auto it = unit.variables.find(next().text);
    if (it == unit.variables.end()) fail("an initial value names an unknown variable");
    uint64_t address = it->second.address;
    if (accept("+")) address += uint64_t(integer());
    if (generic) expect(")");
    return address;
  }

  std::vector<Variable> parameters() {
    std::vector<Variable> out;
    expect("(");
    while (!accept(")")) {
      if (accept(".reg")) fail("register parameters are not supported");
      expect(".param");
      out.push_back(declaration(Space::Param));
      accept(",");
    }
    return out;
  }

  void function(bool entry) {
    Function f;
    f.entry = entry;
    if (!entry && is("(")) f.results = parameters();
    f.name = next().text;
    if (is("(")) f.params = parameters();
    while (!is("{") && !is(";")) {
      std::string_view word = next().text;
      if (word == ".maxntid" || word == ".reqntid") {
        f.max_threads = uint32_t(integer());
        while (accept(",")) f.max_threads *= uint32_t(integer());
      } else if (word == ".minnctapersm" || word == ".maxnreg")
        integer();
      else if (word != ".noreturn") {
        --at;
        fail("not understood before a function body");
      }
    }
    if (accept("{")) {
      f.body = at;
      skip_braces();
    } else
      expect(";");
    Function& kept = unit.functions[f.name];
    if (f.body || !kept.body) kept = f;
  }
};

} // namespace

std::unique_ptr<Module> load_module(std::string_view ptx, int device) {
  auto module = std::make_unique<Module>();
  Unit unit;
  unit.tokens = tokenize(ptx);
  try {
    TopLevel(unit, *module, device).run();
    for (auto& [name, f] : unit.functions) {
      if (!f.entry || !f.body) continue;
      auto kernel = std::make_unique<Kernel>();
      kernel->name = std::string(name);
      compile_kernel(unit, f, *kernel);
      module->kernels.emplace(std::string(name), std::move(kernel));
    }
  } catch (...) {
    for (uint64_t a : module->allocations) device_free(a);
    throw;
  }
  return module;
}

} // namespace cudasim
