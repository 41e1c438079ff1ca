// Selection in a row without sorting it: the k-th element, the best few.
#pragma once
#include <cmath>

#include "sort_keys.h"

namespace flambeau {

// Key above, position below: no two are equal, and of equal keys the first comes first.
__extension__ typedef unsigned __int128 uint128;
template<class T>
using Word = std::conditional_t<sizeof(T) == 8, uint128, uint64_t>;

template<class T>
inline Word<T> word_of(T v, int64_t at, KeyOf<T> flip) {
  return Word<T>(key_of(v) ^ flip) << 32 | Word<T>(at);
}
template<class W>
inline int64_t place_of(W w) {
  return int64_t(uint32_t(w));
}

// The word of rank k (from 0). words: room for n.
template<class T>
Word<T> select_word(const T* x, int64_t n, int64_t k, KeyOf<T> flip, Word<T>* words) {
  using K = KeyOf<T>;
  if (n < 2048) {
    for (int64_t i = 0; i < n; ++i) words[i] = word_of(x[i], i, flip);
    std::nth_element(words, words + k, words + n);
    return words[k];
  }
  // Only the elements that share the wanted one's leading bits have to be ordered.
  constexpr int kBits = 11;
  KeyRange<K> r = key_range(x, n, flip);
  int shift = std::max(r.bits() - kBits, 0);
  uint32_t count[1 << kBits] = {};
  for (int64_t i = 0; i < n; ++i) ++count[((key_of(x[i]) ^ flip) - r.low) >> shift];
  K bucket = 0;
  while (k >= count[bucket]) k -= count[bucket++];
  int64_t m = 0;
  for (int64_t i = 0; i < n; ++i) {
    words[m] = word_of(x[i], i, flip);
    m += ((key_of(x[i]) ^ flip) - r.low) >> shift == bucket;
    if (m == count[bucket]) break;
  }
  std::nth_element(words, words + k, words + m);
  return words[k];
}

constexpr int64_t kFewBest = 64;

// Whether a value may come before `limit`; any of 32 values.
template<class T, bool largest>
inline bool may_beat(T x, T limit) {
  if constexpr (kHalf<T>)
    return largest ? !(float(x) <= float(limit)) : !(float(x) >= float(limit));
  else
    return largest ? !(x <= limit) : !(x >= limit);
}
template<class T, bool largest>
inline bool any_beats(const T* x, T limit) {
  unsigned hit = 0;
  for (int i = 0; i < 32; ++i) hit |= may_beat<T, largest>(x[i], limit);
  return hit;
}

// The k best words, best first, in words[0, k). Room: n + k words.
template<class T, bool largest>
void gather_best(const T* x, int64_t n, int64_t k, Word<T>* words) {
  constexpr KeyOf<T> flip = largest ? ~KeyOf<T>(0) : 0;
  int64_t m = 0;
  if (k * 8 > n) {
    Word<T> last = select_word(x, n, k - 1, flip, words + k);
    for (int64_t i = 0; i < n && m < k; ++i) {
      words[m] = word_of(x[i], i, flip);
      m += words[m] <= last;
    }
    if constexpr (sizeof(T) == 8) {
      std::sort(words, words + k);
    } else {
      uint64_t* s = sort_words(words, words + k, k, 32, 32);
      if (s != words) std::copy_n(s, k, words);
    }
    return;
  }
  // Candidates gather above the best k so far; when there are 2 k, half of them go.
  for (; m < k; ++m) words[m] = word_of(x[m], m, flip);
  Word<T> last = *std::max_element(words, words + k);
  for (int64_t i = k; i < n;) {
    int64_t end = std::min(i + 32, n);
    if (end - i == 32 && !any_beats<T, largest>(x + i, x[place_of(last)])) {
      i = end;
      continue;
    }
    for (; i < end; ++i) {
      words[m] = word_of(x[i], i, flip);
      m += words[m] < last;
    }
    if (m < 2 * k && i < n) continue;
    std::nth_element(words, words + k - 1, words + m);
    last = words[k - 1];
    m = k;
  }
  std::sort(words, words + k);
}

// The same; a small k keeps its words in order as it goes and has room for kFewBest of them.
template<class T, bool largest>
void best_of_row(const T* x, int64_t n, int64_t k, Word<T>* words) {
  using K = KeyOf<T>;
  constexpr K flip = largest ? ~K(0) : 0;
  if (k > kFewBest) return gather_best<T, largest>(x, n, k, words);
  for (int64_t i = 0; i < k; ++i) words[i] = word_of(x[i], i, flip);
  std::sort(words, words + k);
  auto offer = [&](int64_t i) {
    Word<T> w = word_of(x[i], i, flip);
    if (!(w < words[k - 1])) return;
    int64_t j = k - 1;
    for (; j > 0 && w < words[j - 1]; --j) words[j] = words[j - 1];
    words[j] = w;
  };
  int64_t i = k;
  for (; i + 32 <= n; i += 32) {
    if (!any_beats<T, largest>(x + i, x[place_of(words[k - 1])])) continue;
    for (int64_t j = i; j < i + 32; ++j)
      if (may_beat<T, largest>(x[j], x[place_of(words[k - 1])])) offer(j);
  }
  for (; i < n; ++i) offer(i);
}

} // namespace flambeau
