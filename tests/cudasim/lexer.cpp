// Splits PTX text into tokens and knows the names and sizes of its types.
#include <cctype>

#include "compiler.h"

namespace cudasim {

namespace {

bool word_char(char c) {
  return std::isalnum((unsigned char)c) || c == '_' || c == '$' || c == '%';
}

struct Cursor {
  std::string_view text;
  size_t at = 0;
  uint32_t line = 1;

  char peek(size_t ahead = 0) const { return at + ahead < text.size() ? text[at + ahead] : 0; }

  void skip_blank() {
    while (at < text.size()) {
      char c = text[at];
      if (c == '\n')
        ++line, ++at;
      else if (c == ' ' || c == '\t' || c == '\r' || c == 0)
        ++at;
      else if (c == '/' && peek(1) == '/')
        while (at < text.size() && text[at] != '\n') ++at;
      else if (c == '/' && peek(1) == '*') {
        at += 2;
        for (; at < text.size() && !(text[at] == '*' && peek(1) == '/'); ++at)
          line += text[at] == '\n';
        at += 2;
      } else
        return;
    }
  }

  size_t word_end() const {
    size_t e = at;
    while (e < text.size()) {
      if (word_char(text[e]) || text[e] == '.')
        ++e;
      else if (text[e] == ':' && e + 2 < text.size() && text[e + 1] == ':' &&
               word_char(text[e + 2]))
        e += 2;
      else
        break;
    }
    return e;
  }

  size_t number_end() const {
    size_t e = at;
    bool plain =
        !(text[e] == '0' && e + 1 < text.size() && std::isalpha((unsigned char)text[e + 1]));
    while (e < text.size()) {
      char c = text[e];
      if (std::isalnum((unsigned char)c) || c == '.')
        ++e;
      else if (plain && (c == '-' || c == '+') && (text[e - 1] == 'e' || text[e - 1] == 'E'))
        ++e;
      else
        break;
    }
    return e;
  }
};

} // namespace

std::vector<Token> tokenize(std::string_view text) {
  std::vector<Token> out;
  out.reserve(text.size() / 4);
  Cursor c{text};
  for (;;) {
    c.skip_blank();
    if (c.at >= text.size()) break;
    char first = c.peek();
    size_t end = c.at + 1;
    Token::Kind kind = Token::Punct;
    if (std::isdigit((unsigned char)first)) {
      kind = Token::Number;
      end = c.number_end();
    } else if (word_char(first) || (first == '.' && word_char(c.peek(1)))) {
      kind = Token::Word;
      end = c.word_end();
    } else if (first == '"') {
      kind = Token::String;
      end = text.find('"', c.at + 1);
      end = end == std::string_view::npos ? text.size() : end + 1;
    }
    out.push_back({kind, text.substr(c.at, end - c.at), c.line});
    c.at = end;
  }
  out.push_back({Token::End, {}, c.line});
  return out;
}

int size_of(Type t) {
  switch (t) {
  case Type::U8:
  case Type::S8:
  case Type::B8: return 1;
  case Type::U16:
  case Type::S16:
  case Type::B16:
  case Type::F16:
  case Type::BF16: return 2;
  case Type::U64:
  case Type::S64:
  case Type::B64:
  case Type::F64: return 8;
  case Type::B128: return 16;
  case Type::None:
  case Type::Pred: return 0;
  default: return 4;
  }
}

bool is_signed(Type t) {
  return t == Type::S8 || t == Type::S16 || t == Type::S32 || t == Type::S64;
}

bool is_float(Type t) {
  switch (t) {
  case Type::F16:
  case Type::F16x2:
  case Type::BF16:
  case Type::BF16x2:
  case Type::F32:
  case Type::F64:
  case Type::TF32: return true;
  default: return false;
  }
}

std::optional<Type> type_named(std::string_view name) {
  static const std::map<std::string_view, Type> names = {
      {"u8", Type::U8},       {"u16", Type::U16},       {"u32", Type::U32},
      {"u64", Type::U64},     {"s8", Type::S8},         {"s16", Type::S16},
      {"s32", Type::S32},     {"s64", Type::S64},       {"b8", Type::B8},
      {"b16", Type::B16},     {"b32", Type::B32},       {"b64", Type::B64},
      {"b128", Type::B128},   {"f16", Type::F16},       {"f16x2", Type::F16x2},
      {"bf16", Type::BF16},   {"bf16x2", Type::BF16x2}, {"f32", Type::F32},
      {"f64", Type::F64},     {"tf32", Type::TF32},     {"u16x2", Type::U16x2},
      {"s16x2", Type::S16x2}, {"pred", Type::Pred}};
  auto it = names.find(name);
  return it == names.end() ? std::nullopt : std::optional<Type>(it->second);
}

} // namespace cudasim
