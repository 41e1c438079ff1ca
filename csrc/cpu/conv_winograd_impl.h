// The transforms of Winograd's convolution, compiled once per instruction set (FLAMBEAU_ISA).
#pragma once

#include "conv_winograd.h"
#include "gemm_vec.h"

namespace flambeau {
namespace FLAMBEAU_ISA {
namespace winograd {

using V = Vec<float>;
constexpr int kStep = kLanes<float>;
constexpr float kNear = 0.70710678f, kFar = 1.41421356f; // the points +-kNear and +-kFar

struct Three {
  V a, b, c;
};
struct Four {
  V a, b, c, d;
};
struct Six {
  V a, b, c, d, e, f;
};

FLAMBEAU_INLINE V at(const float* p) { return load<V>(p); }

FLAMBEAU_INLINE Six load_six(const float* p, int64_t step) {
  return {at(p),           at(p + step), at(p + 2 * step), at(p + 3 * step), at(p + 4 * step),
          at(p + 5 * step)};
}

FLAMBEAU_INLINE Four load_four(const float* p, int64_t step) {
  return {at(p), at(p + step), at(p + 2 * step), at(p + 3 * step)};
}

FLAMBEAU_INLINE void store_four(float* p, int64_t step, const Four& s) {
  store(p, s.a), store(p + step, s.b), store(p + 2 * step, s.c), store(p + 3 * step, s.d);
}

FLAMBEAU_INLINE void store_six(float* p, int64_t step, const Six& s) {
  store(p, s.a), store(p + step, s.b), store(p + 2 * step, s.c);
  store(p + 3 * step, s.d), store(p + 4 * step, s.e), store(p + 5 * step, s.f);
}

// Across: 4 outputs from 6 inputs, at the points 0, +-kNear, +-kFar and infinity.
FLAMBEAU_INLINE Six input_points(const Six& x) { // B^T
  const V e = x.e - 2.f * x.c, o = kNear * (x.d - 2.f * x.b);
  const V f = x.e - .5f * x.c, q = kFar * (x.d - .5f * x.b);
  return {x.a + x.e - 2.5f * x.c, e + o, e - o, f + q, f - q, x.b + x.f - 2.5f * x.d};
}

FLAMBEAU_INLINE Four outputs(const Six& m) { // A^T
  const V s = m.b + m.c, t = kNear * (m.b - m.c), u = m.d + m.e, v = kFar * (m.d - m.e);
  return {m.a + s + u, t + v, .5f * s + 2.f * u, .5f * t + 2.f * v + m.f};
}

FLAMBEAU_INLINE Six gradient_points(const Four& y) { // A
  const V e = y.a + .5f * y.c, o = kNear * (y.b + .5f * y.d);
  const V f = y.a + 2.f * y.c, q = kFar * (y.b + 2.f * y.d);
  return {y.a, e + o, e - o, f + q, f - q, y.d};
}

FLAMBEAU_INLINE Six weight_points(const Three& w) { // G
  const V e = (w.a + .5f * w.c) * (-2.f / 3), o = w.b * (-2.f / 3 * kNear);
  const V f = (w.a + 2.f * w.c) * (1.f / 6), q = w.b * (kFar / 6);
  return {w.a, e + o, e - o, f + q, f - q, w.c};
}

FLAMBEAU_INLINE Three weights(const Six& u) { // G^T
  const V s = (u.b + u.c) * (-2.f / 3), t = (u.b - u.c) * (-2.f / 3 * kNear);
  const V p = (u.d + u.e) * (1.f / 6), q = (u.d - u.e) * (kFar / 6);
  return {u.a + s + p, t + q, .5f * s + 2.f * p + u.f};
}

// Down: 2 outputs from 4 inputs, at the points 0, +-1 and infinity.
FLAMBEAU_INLINE Four input_points(const Four& x) {
  return {x.a - x.c, x.b + x.c, x.c - x.b, x.d - x.b};
}

FLAMBEAU_INLINE Four weight_points_down(const Three& w) {
  const V e = .5f * (w.a + w.c), o = .5f * w.b;
  return {w.a, e + o, e - o, w.c};
}

FLAMBEAU_INLINE Three weights(const Four& u) {
  const V s = .5f * (u.b + u.c);
  return {u.a + s, .5f * (u.b - u.c), s + u.d};
}

inline void input(int64_t tiles, const float* image, int64_t row, float* scratch, float* points,
                  PointSteps steps) {
  const int64_t width = (4 * tiles + 2) * kStep;
  for (int64_t i = 0; i < width; i += kStep)
    store_four(scratch + i, width, input_points(load_four(image + i, row)));
  for (int r = 0; r < 4; r++)
    for (int64_t t = 0; t < tiles; t++)
      store_six(points + 6 * r * steps.point + t * steps.tile, steps.point,
                input_points(load_six(scratch + r * width + 4 * t * kStep, kStep)));
}

inline void gradient(int64_t tiles, const float* image, int64_t row, float* scratch, float* points,
                     PointSteps steps) {
  const int64_t width = 4 * tiles * kStep;
  for (int64_t i = 0; i < width; i += kStep) {
    const V a = at(image + i), b = at(image + row + i);
    store_four(scratch + i, width, {a, a + b, a - b, b});
  }
  for (int r = 0; r < 4; r++)
    for (int64_t t = 0; t < tiles; t++)
      store_six(points + 6 * r * steps.point + t * steps.tile, steps.point,
                gradient_points(load_four(scratch + r * width + 4 * t * kStep, kStep)));
}

inline void output(int64_t tiles, const float* points, PointSteps steps, const float* bias,
                   float* scratch, float* image, int64_t row, float* spoilt) {
  const int64_t width = 4 * tiles * kStep;
  for (int r = 0; r < 4; r++)
    for (int64_t t = 0; t < tiles; t++)
      store_four(scratch + r * width + 4 * t * kStep, kStep,
                 outputs(load_six(points + 6 * r * steps.point + t * steps.tile, steps.point)));
  const V add = at(bias);
  V bad = at(spoilt);
  for (int64_t i = 0; i < width; i += kStep) {
    const Four m = load_four(scratch + i, width);
    const V a = m.a + (m.b + m.c) + add, b = m.d + (m.b - m.c) + add;
    store(image + i, a), store(image + row + i, b);
    bad += a * 0.f + b * 0.f;
  }
  store(spoilt, bad);
}

inline void weight(int64_t count, const float* taps, bool flip, float* points, PointSteps steps) {
  for (int64_t c = 0; c < count; c++, taps += 9 * kStep, points += steps.tile) {
    const float* w = flip ? taps + 8 * kStep : taps;
    const int64_t next = flip ? -kStep : kStep;
    auto column = [&](int j) {
      return weight_points_down({at(w + j * next), at(w + (3 + j) * next), at(w + (6 + j) * next)});
    };
    const Four x = column(0), y = column(1), z = column(2);
    auto row = [&](int r, V a, V b, V c) {
      store_six(points + 6 * r * steps.point, steps.point, weight_points({a, b, c}));
    };
    row(0, x.a, y.a, z.a), row(1, x.b, y.b, z.b);
    row(2, x.c, y.c, z.c), row(3, x.d, y.d, z.d);
  }
}

inline void weight_back(const float* points, int64_t step, float* taps) {
  const Three r0 = weights(load_six(points, step)), r1 = weights(load_six(points + 6 * step, step));
  const Three r2 = weights(load_six(points + 12 * step, step));
  const Three r3 = weights(load_six(points + 18 * step, step));
  auto column = [&](int j, const Four& u) {
    const Three w = weights(u);
    store(taps + j * kStep, w.a), store(taps + (3 + j) * kStep, w.b);
    store(taps + (6 + j) * kStep, w.c);
  };
  column(0, {r0.a, r1.a, r2.a, r3.a});
  column(1, {r0.b, r1.b, r2.b, r3.b});
  column(2, {r0.c, r1.c, r2.c, r3.c});
}

} // namespace winograd

const WinogradKernels* winograd_table() {
  static constexpr WinogradKernels table = {kLanes<float>,      winograd::input,
                                            winograd::gradient, winograd::output,
                                            winograd::weight,   winograd::weight_back};
  return &table;
}

} // namespace FLAMBEAU_ISA
} // namespace flambeau
