// The declarations of a PTX module while its functions are being compiled.
#pragma once

#include "compiler.h"

namespace cudasim {

struct Variable {
  std::string_view name;
  Space space = Space::Generic;
  Type type = Type::None;
  uint32_t align = 1;
  uint64_t size = 0;
  bool is_extern = false;
  uint64_t address = 0; // of global and constant variables
};

struct Function {
  std::string_view name;
  bool entry = false;
  std::vector<Variable> params, results;
  size_t body = 0; // first token inside the braces; 0: no body seen
  uint32_t max_threads = 1024;
};

// Reads declarations; shared by the top level and the bodies of functions.
struct Reader {
  const std::vector<Token>& tokens;
  size_t at = 0;

  const Token& peek(size_t ahead = 0) const {
    return tokens[std::min(at + ahead, tokens.size() - 1)];
  }
  bool is(std::string_view text, size_t ahead = 0) const { return peek(ahead).text == text; }
  Token next() { return tokens[at < tokens.size() - 1 ? at++ : at]; }
  bool accept(std::string_view text);
  void expect(std::string_view text);
  [[noreturn]] void fail(const std::string& why) const;
  int64_t integer();
  // `.align 8 .b8 name[16]`; the space word has been read.
  Variable declaration(Space space);
  void skip_braces(); // from the token after `{` to the one after its `}`
};

struct Unit {
  std::vector<Token> tokens;
  std::map<std::string_view, Variable> variables;
  std::map<std::string_view, Function> functions;
};

void compile_kernel(Unit& unit, const Function& entry, Kernel& kernel);
// Gives the registers their places and puts them into the instructions.
void finish(Builder& b);

} // namespace cudasim
