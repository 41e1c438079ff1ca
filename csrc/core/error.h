// Errors of the core: one exception type that knows which Python exception it becomes.
#pragma once
#include <cstdint>
#include <exception>
#include <string>
#include <utility>

namespace flambeau {

enum class ErrorKind {
  Runtime,
  Type,
  Value,
  Index,
  NotImplemented,
  Memory,
  Overflow,
  Buffer,
  ZeroDivision,
  Python
};

class Error : public std::exception {
 public:
  Error(ErrorKind kind, std::string text) : kind(kind), text(std::move(text)) {}
  const char* what() const noexcept override { return text.c_str(); }
  ErrorKind kind;
  std::string text;
};

std::string to_str(double v);
std::string to_str(int64_t v);
inline std::string to_str(int v) { return to_str(int64_t(v)); }
inline std::string to_str(unsigned v) { return to_str(int64_t(v)); }
inline std::string to_str(size_t v) { return to_str(int64_t(v)); }
inline std::string to_str(long long v) { return to_str(int64_t(v)); }
inline std::string to_str(bool v) { return v ? "True" : "False"; }
inline std::string to_str(const char* s) { return s; }
inline const std::string& to_str(const std::string& s) { return s; }

template<class... A>
std::string cat_str(const A&... parts) {
  std::string s;
  ((s += to_str(parts)), ...);
  return s;
}

template<class... A>
[[noreturn, gnu::noinline, gnu::cold]] void fail(ErrorKind kind, const A&... parts) {
  throw Error(kind, cat_str(parts...));
}

#define FB_CHECK_AS(kind, cond, ...)                              \
  do {                                                            \
    if (!(cond)) [[unlikely]]                                     \
      ::flambeau::fail(::flambeau::ErrorKind::kind, __VA_ARGS__); \
  } while (0)
#define FB_CHECK(cond, ...) FB_CHECK_AS(Runtime, cond, __VA_ARGS__)
#define FB_CHECK_INDEX(cond, ...) FB_CHECK_AS(Index, cond, __VA_ARGS__)
#define FB_CHECK_VALUE(cond, ...) FB_CHECK_AS(Value, cond, __VA_ARGS__)
#define FB_CHECK_TYPE(cond, ...) FB_CHECK_AS(Type, cond, __VA_ARGS__)
#define FB_NOT_IMPLEMENTED(...) ::flambeau::fail(::flambeau::ErrorKind::NotImplemented, __VA_ARGS__)

} // namespace flambeau
