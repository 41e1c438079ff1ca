// Rows of the activation functions. The form of a row is described in unary_rows.h.
#pragma once

// clang-format off
#define FB_UNARY_ACTIVATION(X)                                                                    \
  X(relu, "", Same, kReal, Out, x <= T(0) ? T(0) : x, threshold_backward(g, Y()),                 \
    "max(x, 0).")                                                                                 \
  X(relu6, "", Same, kReal, In, math::clamp(x, T(0), T(6)), g * within(IN(), 0, 6, true),         \
    "min(max(x, 0), 6).")                                                                         \
  X(silu, "", Float, kFltCpx, In, x * math::sigmoid(x), silu_backward(g, IN()),                   \
    "x * sigmoid(x) (Elfwing, Uchibe and Doya 2017).")                                            \
  X(gelu_erf, "", Float, kFlt, In, math::gelu(x), gelu_erf_backward(g, IN()),                     \
    "x * Phi(x), Phi the normal distribution function (Hendrycks and Gimpel 2016).")              \
  X(gelu_tanh, "", Float, kFlt, In, math::gelu_tanh(x), gelu_tanh_backward(g, IN()),              \
    "GELU by its tanh approximation (Hendrycks and Gimpel 2016).")                                \
  X(mish, "", Float, kFlt, In, x * math::tanh(math::softplus(x)), mish_vjp(g, IN()),              \
    "x * tanh(softplus(x)) (Misra 2019).")                                                        \
  X(softplus, "Scalar beta=1, Scalar threshold=20", Float, kFlt, In,                              \
    x * P(0) > P(1) ? x : T(math::softplus(x * P(0)) / P(0)), softplus_vjp(g, IN(), p),           \
    "log(1 + exp(beta x)) / beta; x itself where beta x > threshold.")                            \
  X(elu, "Scalar alpha=1, Scalar scale=1, Scalar input_scale=1", Float, kFlt, In,                 \
    x > T(0) ? T(P(1) * x) : T(P(1) * P(0) * math::expm1(x * P(2))), elu_vjp(g, IN(), p),         \
    "scale * x for x > 0, scale * alpha * (exp(input_scale x) - 1) below (Clevert et al. 2015).") \
  X(leaky_relu, "Scalar negative_slope=0.01", Same, kFlt, In,                                     \
    x > T(0) ? x : T(x * P(0)), g * slope(IN(), p[0]), "x for x > 0, negative_slope * x below.")  \
  X(hardtanh, "Scalar min_val=-1, Scalar max_val=1", Same, kReal, In,                             \
    math::clamp(x, P(0), P(1)), g * within(IN(), p[0], p[1], true),                               \
    "x limited to [min_val, max_val].")                                                           \
  X(hardsigmoid, "", Float, kFlt, In, math::clamp(T(x / T(6) + T(0.5)), T(0), T(1)),              \
    g * within(IN(), -3, 3, true) / 6., "x / 6 + 1/2 limited to [0, 1].")                         \
  X(hardswish, "", Float, kFlt, In, x * math::clamp(T(x + T(3)), T(0), T(6)) / T(6),              \
    hardswish_vjp(g, IN()), "x * min(max(x + 3, 0), 6) / 6 (Howard et al. 2019).")                \
  X(hardshrink, "Scalar lambd=0.5", Float, kFlt, In, x >= -P(0) && x <= P(0) ? T(0) : x,          \
    g * (1. - within(IN(), -p[0], p[0], false)), "x where |x| > lambd, else 0.")                  \
  X(softshrink, "Scalar lambd=0.5", Float, kFlt, In,                                              \
    x > P(0) ? T(x - P(0)) : x < -P(0) ? T(x + P(0)) : x != x ? x : T(0),                         \
    g * (1. - within(IN(), -p[0], p[0], false)), "x moved lambd towards 0, and 0 within lambd.")  \
  X(logsigmoid, "", Float, kFlt, In, -math::softplus(-x), g * sigmoid(-IN()),                    \
    "log(sigmoid(x)).")                                                                           \
  X(threshold, "Scalar threshold, Scalar value", Same, kReal, In, x <= P(0) ? P(1) : x,           \
    g * greater_mask(IN(), p[0]), "x where x > threshold, else value.")                           \
  X(clamp_scalar, "Scalar min, Scalar max", Same, kReal, In, math::clamp(x, P(0), P(1)),          \
    g * within(IN(), p[0], p[1], false), "x limited to [min, max].")                              \
  X(logit_eps, "Scalar eps", Float, kFlt, In, math::log_odds(x, P(0)), logit_vjp(g, IN(), p[0]),  \
    "log(x / (1 - x)), x first limited to [eps, 1 - eps] unless eps is negative.")                \
  X(nan_to_num_to,                                                                                \
    "Scalar nan, Scalar posinf, Scalar neginf", Same, kRealBool, In,                              \
    math::finite_number(x, P(0), P(1), P(2)), g * isfinite_mask(IN()),                            \
    "NaN and infinities replaced by numbers.")                                                    \
  X(within_open, "Scalar low, Scalar high", Same, kReal, None, T(x > P(0) && x < P(1)),           \
    Tensor(), "1 where low < x < high, else 0.")                                                  \
  X(within_closed, "Scalar low, Scalar high", Same, kReal, None, T(x >= P(0) && x <= P(1)),       \
    Tensor(), "1 where low <= x <= high, else 0.")                                                \
  X(slope, "Scalar negative", Same, kFlt, None, x > T(0) ? T(1) : P(0), Tensor(),                 \
    "1 where x > 0, else `negative`.")                                                            \
  X(greater_mask, "Scalar than", Same, kReal, None, T(x > P(0)), Tensor(),                        \
    "1 where x > than, else 0.")
// clang-format on
