// Which kernel texts a scalar formula needs: only those are compiled with it.
#pragma once
#include <cctype>
#include <initializer_list>
#include <string_view>
#include <vector>

namespace flambeau::cuda {

namespace detail {
enum : unsigned { kMath = 1, kGamma = 2, kBessel = 4, kPolynomial = 8 };

inline bool one_of(std::string_view name, const std::vector<std::string_view>& names) {
  for (std::string_view n : names)
    if (n == name) return true;
  return false;
}
// The texts that define math::name.
inline unsigned home_of(std::string_view name) {
  if (name.find("polynomial") != name.npos) return kMath | kGamma | kPolynomial;
  if (name.find("bessel") != name.npos || one_of(name, {"i0", "i0e", "i1", "i1e", "airy_ai"}))
    return kMath | kGamma | kBessel;
  if (one_of(name, {"lgamma", "digamma", "trigamma", "polygamma", "zeta", "igamma", "igammac",
                    "erfinv", "erfcx", "ndtr", "ndtri", "log_ndtr", "sinc"}))
    return kMath | kGamma;
  return kMath;
}
} // namespace detail

// Names of texts, in the order in which to put them together. `complex_type`: the formula is to be
// computed in a complex type.
inline std::vector<const char*> files_for(std::string_view formula, bool complex_type) {
  using namespace detail;
  constexpr std::string_view prefix = "math::";
  unsigned homes = 0;
  for (size_t at = formula.find(prefix); at != formula.npos; at = formula.find(prefix, at)) {
    const size_t from = at += prefix.size();
    while (at < formula.size() && (std::isalnum((unsigned char)formula[at]) || formula[at] == '_'))
      ++at;
    homes |= home_of(formula.substr(from, at - from));
  }
  std::vector<const char*> files = {"types.cuh"};
  auto add = [&](std::initializer_list<const char*> more) { files.insert(files.end(), more); };
  if (homes & kMath) add({"vecmath_core.h", "math.cuh"});
  if (homes & kMath && complex_type) add({"complex.cuh", "vecmath_complex.h"});
  if (homes & kMath) add({"vecmath_integer.h", "special_arith.h", "formulas.h"});
  if (homes & kGamma) add({"special_gamma.h"});
  if (homes & kBessel) add({"special_bessel.h"});
  if (homes & kPolynomial) add({"special_poly.h"});
  return files;
}

} // namespace flambeau::cuda
