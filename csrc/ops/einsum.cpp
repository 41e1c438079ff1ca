// Einstein summation: operands labelled by the equation, contracted left to right through bmm.
#include <algorithm>
#include <vector>

#include "../core/registry.h"
#include "ops.h"

namespace flambeau {
namespace {

// Labels: 0..51 letters; from 52 the dimensions of the ellipsis, its last one first.
constexpr int kLetters = 52, kEllipsis = -1;
using Labels = std::vector<int>;

int label_of(char c) {
  if (c >= 'A' && c <= 'Z') return c - 'A';
  if (c >= 'a' && c <= 'z') return c - 'a' + 26;
  return -2;
}
std::string letter(int label) {
  if (label >= kLetters) return "...";
  return std::string(1, label < 26 ? char('A' + label) : char('a' + label - 26));
}

struct Equation {
  std::vector<Labels> in;
  Labels out;
  bool explicit_out = false;
};

// The terms of one side from `at` on, separated by commas, up to the end or an arrow.
void read_terms(const std::string& s, size_t& at, std::vector<Labels>& terms) {
  terms.emplace_back();
  for (; at < s.size(); ++at) {
    char c = s[at];
    if (c == ' ') continue;
    if (c == ',') {
      terms.emplace_back();
    } else if (c == '-') {
      FB_CHECK(s.compare(at, 2, "->") == 0, "einsum(): found '-' at index ", at, " of '", s,
               "' that is not part of '->'");
      return;
    } else if (c == '.') {
      FB_CHECK(s.compare(at, 3, "...") == 0, "einsum(): found '.' for operand ", terms.size() - 1,
               " that is not part of any ellipsis in '", s, "'");
      FB_CHECK(std::find(terms.back().begin(), terms.back().end(), kEllipsis) == terms.back().end(),
               "einsum(): found '.' for operand ", terms.size() - 1,
               " for which an ellipsis was "
               "already found in '",
               s, "'");
      terms.back().push_back(kEllipsis);
      at += 2;
    } else {
      FB_CHECK(label_of(c) >= 0, "einsum(): invalid subscript given at index ", at,
               " in the "
               "equation string '",
               s, "', subscripts must be in [a-zA-Z]");
      terms.back().push_back(label_of(c));
    }
  }
}

Equation read_equation(const std::string& s) {
  Equation e;
  size_t at = 0;
  read_terms(s, at, e.in);
  if (at >= s.size()) return e;
  at += 2;
  e.explicit_out = true;
  std::vector<Labels> out;
  read_terms(s, at, out);
  FB_CHECK(at >= s.size() && out.size() == 1, "einsum(): the output of '", s,
           "' must be one list of subscripts after one arrow");
  e.out = out[0];
  return e;
}

// An operand on its way: dimension i carries labels[i], each once.
struct Term {
  Tensor t;
  Labels labels;
  int find(int label) const {
    for (size_t i = 0; i < labels.size(); ++i)
      if (labels[i] == label) return int(i);
    return -1;
  }
  int64_t size(int label) const {
    int i = find(label);
    return i < 0 ? 1 : t.shape()[i];
  }
};

// The ellipsis written out for an operand of ndim dimensions, and its width.
Labels write_out(const Labels& labels, int ndim, size_t operand, int& ellipsis) {
  bool any = std::find(labels.begin(), labels.end(), kEllipsis) != labels.end();
  int named = int(labels.size()) - any, extra = ndim - named;
  FB_CHECK(any ? extra >= 0 : extra == 0, "einsum(): the number of subscripts in the equation (",
           named,
           any ? ") is more than the number of dimensions ("
               : ") does not match the number of dimensions (",
           ndim, ") for operand ", operand, any ? "" : " and no ellipsis was given");
  Labels r;
  for (int l : labels) {
    if (l != kEllipsis)
      r.push_back(l);
    else
      for (int i = extra; i-- > 0;) r.push_back(kLetters + i);
  }
  if (any) ellipsis = std::max(ellipsis, extra);
  return r;
}

// Repeated labels become diagonals; dimensions of one element that others broadcast are dropped.
Term make_term(const Tensor& t, const Labels& labels, size_t operand) {
  Term r{t, {}};
  for (int l : labels) {
    int at = int(r.labels.size()), first = r.find(l);
    if (first < 0) {
      r.labels.push_back(l);
      continue;
    }
    FB_CHECK(r.t.shape()[first] == r.t.shape()[at], "einsum(): subscript ", letter(l),
             " is "
             "repeated for operand ",
             operand, " but the sizes don't match, ", r.t.shape()[at],
             " "
             "!= ",
             r.t.shape()[first]);
    r.t = movedim(diagonal(r.t, 0, first, at), {-1}, {first});
  }
  return r;
}

void drop(Term& x, const Labels& gone) { // sums over them
  Dims dims;
  Labels left;
  for (size_t i = 0; i < x.labels.size(); ++i) {
    if (std::find(gone.begin(), gone.end(), x.labels[i]) != gone.end())
      dims.push_back(int64_t(i));
    else
      left.push_back(x.labels[i]);
  }
  if (dims.empty()) return;
  bool flat = true;
  for (int64_t d : dims) flat = flat && x.t.shape()[int(d)] == 1;
  x.t = flat ? squeeze(x.t, dims) : sum(x.t, dims, false, x.t.dtype());
  x.labels = left;
}

// x as the labels in order, missing ones of size 1.
Tensor arranged(const Term& x, const Labels& order) {
  Dims perm;
  for (int l : order)
    if (x.find(l) >= 0) perm.push_back(x.find(l));
  Tensor t = permute(x.t, perm);
  for (size_t i = 0; i < order.size(); ++i)
    if (x.find(order[i]) < 0) t = unsqueeze(t, int64_t(i));
  return t;
}
Labels joined(const Labels& a, const Labels& b, const Labels& c = {}) {
  Labels r = a;
  r.insert(r.end(), b.begin(), b.end());
  r.insert(r.end(), c.begin(), c.end());
  return r;
}
Dims sizes_of(const Term& x, const Labels& labels) {
  Dims d;
  for (int l : labels) d.push_back(x.size(l));
  return d;
}
int64_t product(const Dims& d) {
  int64_t n = 1;
  for (int64_t s : d) n *= s;
  return n;
}

// The product of two terms, summed over the labels that `kept` does not want.
template<class Kept>
Term contract(Term a, Term b, const Labels& out, Kept&& kept) {
  Labels only_a, only_b, batch, summed, alone_a, alone_b;
  for (int l : a.labels) {
    bool both = b.find(l) >= 0 && a.size(l) == b.size(l);
    if (both)
      (kept(l) ? batch : summed).push_back(l);
    else if (!kept(l) && (b.find(l) < 0 || b.size(l) == 1))
      alone_a.push_back(l);
    else if (b.find(l) < 0 || a.size(l) != 1)
      only_a.push_back(l);
  }
  for (int l : b.labels) {
    if (a.find(l) >= 0 && a.size(l) == b.size(l)) continue;
    if (!kept(l) && (a.find(l) < 0 || a.size(l) == 1))
      alone_b.push_back(l);
    else if (a.find(l) < 0 || b.size(l) != 1)
      only_b.push_back(l);
  }
  // What one side alone has and nobody wants is summed first; its partner of size 1 goes too.
  drop(a, joined(alone_a, {}));
  drop(b, joined(alone_b, {}));
  auto squeeze_ones = [](Term& x, const Labels& wide) {
    Labels ones;
    for (int l : wide)
      if (x.find(l) >= 0) ones.push_back(l);
    drop(x, ones);
  };
  squeeze_ones(b, joined(only_a, alone_a));
  squeeze_ones(a, joined(only_b, alone_b));
  auto rank = [&](int l) { return std::find(out.begin(), out.end(), l) - out.begin(); };
  auto by_rank = [&](int l, int m) { return rank(l) < rank(m); };
  std::stable_sort(batch.begin(), batch.end(), by_rank);
  if (summed.empty()) { // no matrix product: elementwise, in the output's order
    Labels all = joined(batch, only_a, only_b);
    std::stable_sort(all.begin(), all.end(), by_rank);
    return {arranged(a, all) * arranged(b, all), all};
  }
  if (!only_a.empty() && !only_b.empty() && rank(only_b[0]) < rank(only_a[0])) {
    std::swap(a, b);
    std::swap(only_a, only_b);
  }
  Dims nb = sizes_of(a, batch), na = sizes_of(a, only_a), nc = sizes_of(a, summed),
       nd = sizes_of(b, only_b);
  int64_t batches = product(nb), rows = product(na), inner = product(nc), cols = product(nd);
  Tensor x = arranged(a, joined(batch, only_a, summed));
  Tensor y = arranged(b, joined(batch, summed, only_b));
  Dims shape = nb;
  for (int64_t s : na) shape.push_back(s);
  for (int64_t s : nd) shape.push_back(s);
  Tensor r = batch.empty()
                 ? mm(reshape(x, {rows, inner}), reshape(y, {inner, cols}))
                 : bmm(reshape(x, {batches, rows, inner}), reshape(y, {batches, inner, cols}));
  return {view(r, shape), joined(batch, only_a, only_b)};
}

// Every label's size; raises where two operands do not broadcast.
void check_sizes(const std::vector<Term>& terms) {
  for (size_t k = 1; k < terms.size(); ++k)
    for (int l : terms[k].labels)
      for (size_t j = 0; j < k; ++j) {
        int64_t m = terms[k].size(l), n = terms[j].size(l);
        FB_CHECK(m == n || m == 1 || n == 1, "einsum(): subscript ", letter(l), " has size ", m,
                 " for operand ", k, " which does not broadcast with previously seen size ", n);
      }
}

Labels output_labels(const Equation& e, const std::vector<Labels>& in, int ellipsis) {
  Labels out;
  auto dots = [&] {
    for (int i = ellipsis; i-- > 0;) out.push_back(kLetters + i);
  };
  int uses[kLetters] = {};
  for (const Labels& term : in)
    for (int l : term)
      if (l < kLetters) ++uses[l];
  if (!e.explicit_out) { // the ellipsis, then in order of the alphabet what occurs once
    dots();
    for (int l = 0; l < kLetters; ++l)
      if (uses[l] == 1) out.push_back(l);
    return out;
  }
  for (int l : e.out) {
    if (l == kEllipsis) {
      dots();
      continue;
    }
    FB_CHECK(uses[l], "einsum(): output subscript ", letter(l),
             " does not appear in the "
             "equation for any input operand");
    FB_CHECK(std::find(out.begin(), out.end(), l) == out.end(), "einsum(): output subscript ",
             letter(l), " appears more than once in the output");
    out.push_back(l);
  }
  return out;
}

Tensor einsum(const Equation& e, const Tensors& operands) {
  FB_CHECK(!operands.empty(), "einsum(): must provide at least one operand");
  FB_CHECK(e.in.size() >= operands.size(), "einsum(): more operands were provided (",
           operands.size(), ") than specified in the equation (", e.in.size(), ")");
  FB_CHECK(e.in.size() <= operands.size(), "einsum(): fewer operands were provided (",
           operands.size(), ") than specified in the equation (", e.in.size(), ")");
  int ellipsis = 0;
  std::vector<Labels> in;
  for (size_t k = 0; k < operands.size(); ++k)
    in.push_back(write_out(e.in[k], operands[k].dim(), k, ellipsis));
  Labels out = output_labels(e, in, ellipsis);
  std::vector<Term> terms;
  for (size_t k = 0; k < operands.size(); ++k) {
    terms.push_back(make_term(operands[k], in[k], k));
    FB_CHECK(operands[k].dtype() == operands[0].dtype(),
             "einsum(): expected all operands to "
             "have one dtype, but found ",
             operands[0].dtype(), " and ", operands[k].dtype());
  }
  check_sizes(terms);
  auto in_output = [&](int l) { return std::find(out.begin(), out.end(), l) != out.end(); };
  Term r = terms[0];
  for (size_t k = 1; k < terms.size(); ++k)
    r = contract(r, terms[k], out, [&](int l) {
      if (in_output(l)) return true;
      for (size_t j = k + 1; j < terms.size(); ++j)
        if (terms[j].find(l) >= 0) return true;
      return false;
    });
  Labels gone;
  for (int l : r.labels)
    if (!in_output(l)) gone.push_back(l);
  drop(r, gone);
  return arranged(r, out);
}

Register rows({
    {"_einsum(str equation, Tensor[] operands) -> Tensor", kFunction,
     [](Args& a) -> Value { return einsum(read_equation(a.text(0)), a.tensors(1)); },
     "The products of the operands' elements, summed as the equation says."},
});

} // namespace
} // namespace flambeau
