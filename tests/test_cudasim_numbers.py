"""The CUDA stand-in computes what the device would: CUDA's functions against NumPy and SciPy."""

import math

import numpy as np
import pytest
from scipy import special as sp

from cudasim import host

if host.nvrtc_path() is None:
    pytest.skip("the wheel nvidia-cuda-nvrtc is not installed", allow_module_level=True)

R = np.random.default_rng(7)
WIDE = np.concatenate([R.uniform(-30, 30, 96), R.uniform(-1, 1, 48), [0.0, -0.0, 1e8, -3e5]])
POSITIVE = np.abs(WIDE) + 1e-3
UNIT = R.uniform(-0.999, 0.999, 128)
PI = 4 * np.arctan(np.longdouble(1))
ABOVE_ONE = 1 + np.abs(R.uniform(0, 20, 128))

# name: (reference, inputs, tolerance in units of the last place of f32, of f64)
UNARY = {
    "sin": (np.sin, WIDE, 2, 2),
    "cos": (np.cos, WIDE, 2, 2),
    "tan": (np.tan, WIDE, 4, 3),
    "asin": (np.arcsin, UNIT, 2, 2),
    "acos": (np.arccos, UNIT, 2, 2),
    "atan": (np.arctan, WIDE, 2, 2),
    "sinh": (np.sinh, WIDE[:144], 3, 2),
    "cosh": (np.cosh, WIDE[:144], 2, 2),
    "tanh": (np.tanh, WIDE, 2, 2),
    "asinh": (np.arcsinh, WIDE, 3, 3),
    "acosh": (np.arccosh, ABOVE_ONE, 4, 3),
    "atanh": (np.arctanh, UNIT, 3, 3),
    "exp": (np.exp, WIDE[:144], 2, 1),
    "exp2": (np.exp2, WIDE[:144], 2, 1),
    "exp10": (lambda x: np.power(10.0, x), WIDE[:144], 2, 2),
    "expm1": (np.expm1, WIDE[:144], 2, 2),
    "log": (np.log, POSITIVE, 1, 1),
    "log2": (np.log2, POSITIVE, 1, 1),
    "log10": (np.log10, POSITIVE, 2, 2),
    "log1p": (np.log1p, POSITIVE, 1, 1),
    "sqrt": (np.sqrt, POSITIVE, 0.51, 0.51),
    "rsqrt": (lambda x: 1 / np.sqrt(x), POSITIVE, 2, 1),
    # the C library's cbrt of a double is wrong by 3 ulp here: its long double serves
    "cbrt": (lambda x: np.cbrt(x.astype(np.longdouble)), WIDE, 1, 1),
    "rcbrt": (lambda x: 1 / np.cbrt(x.astype(np.longdouble)), POSITIVE, 1, 2),
    "erf": (sp.erf, WIDE, 2, 2),
    "erfc": (np.vectorize(math.erfc), UNIT * 5, 6, 8),
    "erfinv": (sp.erfinv, UNIT, 3, 9),
    "erfcinv": (sp.erfcinv, UNIT + 1, 6, 9),
    "erfcx": (sp.erfcx, np.abs(WIDE), 4, 5),
    "normcdf": (sp.ndtr, UNIT * 5, 7, 20),  # the tail of ndtr is good to 13 units or so
    "normcdfinv": (sp.ndtri, (UNIT + 1) / 2, 6, 9),
    "tgamma": (sp.gamma, R.uniform(0.1, 20, 128), 5, 12),
    "cyl_bessel_i0": (sp.i0, UNIT * 20, 6, 6),
    "cyl_bessel_i1": (sp.i1, UNIT * 20, 6, 9),
    "floor": (np.floor, WIDE, 0, 0),
    "ceil": (np.ceil, WIDE, 0, 0),
    "trunc": (np.trunc, WIDE, 0, 0),
    "rint": (np.rint, np.round(WIDE[:144] * 2) / 2, 0, 0),
    "round": (lambda x: np.trunc(x + np.copysign(0.5, x)), np.round(WIDE[:144] * 2) / 2, 0, 0),
    "fabs": (np.abs, WIDE, 0, 0),
    "sinpi": (lambda x: np.sin(PI * x.astype(np.longdouble)).astype(np.float64), UNIT, 3, 3),
}
# these have zeros among their values: the tolerance is absolute there, for f64 CUDA documents 5e-12
NEAR_ZEROS = {
    "lgamma": (sp.gammaln, R.uniform(0.1, 30, 128)),
    "j0": (sp.j0, R.uniform(0, 30, 128)),
    "j1": (sp.j1, R.uniform(0, 30, 128)),
    "y0": (sp.y0, R.uniform(0.1, 30, 128)),
    "y1": (sp.y1, R.uniform(0.1, 30, 128)),
}
BINARY = {
    "pow": (np.power, POSITIVE[:144], R.uniform(-5, 5, 144), 4),
    "fmod": (np.fmod, WIDE, R.uniform(0.1, 5, WIDE.size), 0),
    "atan2": (np.arctan2, WIDE, R.uniform(-5, 5, WIDE.size), 3),
    "hypot": (np.hypot, WIDE, R.uniform(-5, 5, WIDE.size), 2),
    "copysign": (np.copysign, WIDE, R.uniform(-5, 5, WIDE.size), 0),
    "nextafter": (np.nextafter, WIDE, R.uniform(-5, 5, WIDE.size), 0),
    "fmax": (np.fmax, WIDE, R.uniform(-5, 5, WIDE.size), 0),
    "fmin": (np.fmin, WIDE, R.uniform(-5, 5, WIDE.size), 0),
}

SUFFIX = {"float": "f", "double": ""}
DTYPE = {"float": np.float32, "double": np.float64}


def source_of_math(t):
    """One kernel for each function."""
    head = 'extern "C" __global__ void '
    text = ""
    for name in [*UNARY, *NEAR_ZEROS]:
        call = f"{name}{SUFFIX[t]}(a[i])"
        text += f"{head}k_{name}(const {t}* a, {t}* c, int n) {{\n"
        text += f"  int i = threadIdx.x; if (i < n) c[i] = {call}; }}\n"
    for name in BINARY:
        call = f"{name}{SUFFIX[t]}(a[i], b[i])"
        text += f"{head}k_{name}_2(const {t}* a, const {t}* b, {t}* c, int n) {{\n"
        text += f"  int i = threadIdx.x; if (i < n) c[i] = {call}; }}\n"
    return text


@pytest.fixture(scope="module")
def sim():
    return host.Simulator()


def apply(sim, source, name, out_dtype, *arrays, block=256, shape=None):
    out = sim.empty(shape or arrays[0].shape, out_dtype)
    buffers = [sim.array(a) for a in arrays]
    sim.launch(sim.function(source, name), 1, block, *buffers, out, np.int32(arrays[0].size))
    return out.numpy()


def ulps(got, want, dtype):
    want = np.asarray(want, np.float64)
    unit = np.spacing(np.abs(want).astype(dtype)).astype(np.float64)
    same = (got == want) | (np.isnan(got) & np.isnan(want))
    return np.where(same, 0, np.abs(got.astype(np.float64) - want) / unit).max()


@pytest.mark.parametrize("t", ["float", "double"])
@pytest.mark.parametrize("name", UNARY)
def test_unary_function(sim, name, t):
    reference, x, tol32, tol64 = UNARY[name]
    x = x.astype(DTYPE[t])
    got = apply(sim, source_of_math(t), "k_" + name, DTYPE[t], x)
    assert ulps(got, reference(x.astype(np.float64)), DTYPE[t]) <= (
        tol32 if t == "float" else tol64
    )


@pytest.mark.parametrize("t", ["float", "double"])
@pytest.mark.parametrize("name", NEAR_ZEROS)
def test_function_with_zeros(sim, name, t):
    reference, x = NEAR_ZEROS[name]
    x = x.astype(DTYPE[t])
    got = apply(sim, source_of_math(t), "k_" + name, DTYPE[t], x)
    tol = 2e-6 if t == "float" else 5e-12
    np.testing.assert_allclose(got, reference(x.astype(np.float64)), rtol=tol, atol=tol)


@pytest.mark.parametrize("t", ["float", "double"])
@pytest.mark.parametrize("name", BINARY)
def test_binary_function(sim, name, t):
    reference, x, y, tol = BINARY[name]
    x, y = x.astype(DTYPE[t]), y.astype(DTYPE[t])
    got = apply(sim, source_of_math(t), f"k_{name}_2", DTYPE[t], x, y)
    exact = name in ("fmod", "nextafter")
    want = reference(x, y) if exact else reference(x.astype(np.float64), y.astype(np.float64))
    assert ulps(got, want, DTYPE[t]) <= tol


SPECIAL = np.array([0.0, -0.0, np.inf, -np.inf, np.nan, 1.0, -1.0, 1e-310, 5e-324, 1e300, -1e300])


@pytest.mark.parametrize("name", ["sin", "exp", "log", "sqrt", "tanh", "cbrt", "erf", "floor"])
@pytest.mark.parametrize("t", ["float", "double"])
def test_special_values(sim, name, t):
    with np.errstate(all="ignore"):
        x = SPECIAL.astype(DTYPE[t])
        want = UNARY[name][0](x)
    got = apply(sim, source_of_math(t), "k_" + name, DTYPE[t], x)
    np.testing.assert_allclose(got, want, rtol=3e-7 if t == "float" else 3e-15, equal_nan=True)
    zero = want == 0
    np.testing.assert_array_equal(np.signbit(got[zero]), np.signbit(want[zero]))


INTEGERS = {
    "signed char": np.int8,
    "unsigned char": np.uint8,
    "short": np.int16,
    "unsigned short": np.uint16,
    "int": np.int32,
    "unsigned": np.uint32,
    "long long": np.int64,
    "unsigned long long": np.uint64,
}
INTEGER_OPS = {
    "+": np.add,
    "-": np.subtract,
    "*": np.multiply,
    "&": np.bitwise_and,
    "|": np.bitwise_or,
    "^": np.bitwise_xor,
}


def wrapped(value, dtype):
    bits = np.dtype(dtype).itemsize * 8
    value &= 2**bits - 1
    return value - 2**bits if value > np.iinfo(dtype).max else value


def integers(dtype, n=200):
    info = np.iinfo(dtype)
    x = R.integers(info.min, info.max, n, dtype=dtype, endpoint=True)
    x[:6] = [info.min, info.max, 0, 1, info.max - 1, 2]
    return x


@pytest.mark.parametrize("t", INTEGERS)
def test_integer_arithmetic(sim, t):
    dtype = INTEGERS[t]
    x, y = integers(dtype), integers(dtype)
    y[y == 0] = 3
    ops = [*INTEGER_OPS, "/", "%"]
    body = "".join(f"c[{k} * n + i] = a[i] {op} b[i];\n" for k, op in enumerate(ops))
    source = (
        f'extern "C" __global__ void all(const {t}* a, const {t}* b, {t}* c, int n) {{\n'
        f"  int i = threadIdx.x; if (i >= n) return;\n{body}}}"
    )
    got = apply(sim, source, "all", dtype, x, y, shape=(len(ops), x.size))
    with np.errstate(over="ignore"):
        want = [f(x, y) for f in INTEGER_OPS.values()]
        exact = [(int(a), int(b)) for a, b in zip(x, y)]
        q = [abs(a) // abs(b) * (1 if (a < 0) == (b < 0) else -1) for a, b in exact]
        want.append(np.array([wrapped(v, dtype) for v in q], dtype))
        want.append(np.array([a - k * b for (a, b), k in zip(exact, q)], dtype))
    np.testing.assert_array_equal(got, np.array(want))


@pytest.mark.parametrize("t", INTEGERS)
@pytest.mark.parametrize("f", ["float", "double"])
def test_conversions_between_integers_and_floats(sim, t, f):
    dtype = INTEGERS[t]
    x = integers(dtype)
    source = (
        f'extern "C" __global__ void there(const {t}* a, {f}* c, int n) {{\n'
        f"  int i = threadIdx.x; if (i < n) c[i] = a[i]; }}\n"
        f'extern "C" __global__ void back(const {f}* a, {t}* c, int n) {{\n'
        f"  int i = threadIdx.x; if (i < n) c[i] = a[i]; }}\n"
    )
    got = apply(sim, source, "there", DTYPE[f], x)
    np.testing.assert_array_equal(got, x.astype(DTYPE[f]))
    y = (R.uniform(-100, 100, 200) + (100 if np.iinfo(dtype).min == 0 else 0)).astype(DTYPE[f])
    np.testing.assert_array_equal(apply(sim, source, "back", dtype, y), y.astype(dtype))


def test_floats_saturate_to_integers(sim):
    source = """
extern "C" __global__ void f(const float* a, int* c, int n) {
  int i = threadIdx.x;
  if (i < n) { c[4 * i] = __float2int_rn(a[i]); c[4 * i + 1] = __float2int_rd(a[i]);
    c[4 * i + 2] = __float2int_ru(a[i]); c[4 * i + 3] = (int)__float2uint_rz(a[i]); }
}"""
    x = np.array([1.5, 2.5, -1.5, -0.5, 3e10, -3e10, np.nan, np.inf], np.float32)
    got = apply(sim, source, "f", np.int32, x, shape=(8, 4))
    top, low = 2**31 - 1, -(2**31)
    want = [
        [2, 1, 2, 1], [2, 2, 3, 2], [-2, -2, -1, 0], [0, -1, 0, 0], [top, top, top, -1],
        [low, low, low, 0], [0, 0, 0, 0], [top, top, top, -1],
    ]  # fmt: skip
    np.testing.assert_array_equal(got, want)


def test_rounding_modes(sim):
    source = """
extern "C" __global__ void f(const float* a, const float* b, float* c, int n) {
  int i = threadIdx.x; if (i >= n) return; float x = a[i], y = b[i];
  c[i] = __fadd_rd(x, y); c[n + i] = __fadd_ru(x, y); c[2 * n + i] = __fmul_rz(x, y);
  c[3 * n + i] = __fdiv_ru(x, y); c[4 * n + i] = __fmaf_rd(x, y, x); c[5 * n + i] = __frcp_rz(y);
}"""
    x, y = (R.standard_normal(100).astype(np.float32) for _ in range(2))
    got = apply(sim, source, "f", np.float32, x, y, shape=(6, 100))
    X, Y = x.astype(np.longdouble), y.astype(np.longdouble)
    down, up = -np.float32(np.inf), np.float32(np.inf)

    def directed(v, to):
        near = v.astype(np.float32)
        wrong = near > v if to == down else near < v
        return np.where(wrong, np.nextafter(near, to), near)

    def chopped(v):
        return np.where(v > 0, directed(v, down), directed(v, up))

    want = [directed(X + Y, down), directed(X + Y, up), chopped(X * Y), directed(X / Y, up)]
    want += [directed(X * Y + X, down), chopped(1 / Y)]
    np.testing.assert_array_equal(got, np.array(want))


def test_half_conversions_and_arithmetic(sim):
    source = """
extern "C" __global__ void f(const float* a, const float* b, unsigned short* c, int n) {
  int i = threadIdx.x; if (i >= n) return;
  unsigned short x, y, s, m, f;
  asm("cvt.rn.f16.f32 %0, %1;" : "=h"(x) : "f"(a[i]));
  asm("cvt.rn.f16.f32 %0, %1;" : "=h"(y) : "f"(b[i]));
  asm("add.f16 %0, %1, %2;" : "=h"(s) : "h"(x), "h"(y));
  asm("mul.f16 %0, %1, %2;" : "=h"(m) : "h"(x), "h"(y));
  asm("{.reg .f32 t; cvt.f32.f16 t, %1; cvt.rn.bf16.f32 %0, t;}" : "=h"(f) : "h"(s));
  c[i] = x; c[n + i] = s; c[2 * n + i] = m; c[3 * n + i] = f;
}"""
    x = (R.standard_normal(200) * 10.0 ** R.integers(-8, 6, 200)).astype(np.float32)
    y = (R.standard_normal(200) * 10.0 ** R.integers(-4, 4, 200)).astype(np.float32)
    x[:6] = [np.inf, -np.inf, 65519.9, 65520, 5.9e-8, 2.9e-8]
    got = apply(sim, source, "f", np.uint16, x, y, shape=(4, 200))
    with np.errstate(all="ignore"):
        hx, hy = x.astype(np.float16), y.astype(np.float16)
        want = np.array([hx, hx + hy, hx * hy])
    np.testing.assert_array_equal(got[:3].view(np.float16), want)
    bits = want[1].astype(np.float32).view(np.uint32)
    bf = ((bits + 0x7FFF + (bits >> 16 & 1)) >> 16).astype(np.uint16)
    np.testing.assert_array_equal(got[3][~np.isnan(want[1])], bf[~np.isnan(want[1])])


def test_every_half_and_many_floats_convert(sim):
    source = """
extern "C" __global__ void widen(const unsigned short* a, float* c, int n) {
  int i = blockIdx.x * 256 + threadIdx.x;
  asm("cvt.f32.f16 %0, %1;" : "=f"(c[i]) : "h"(a[i]));
}
extern "C" __global__ void narrow(const float* a, unsigned short* c, int n) {
  int i = blockIdx.x * 256 + threadIdx.x;
  asm("cvt.rn.f16.f32 %0, %1;" : "=h"(c[i]) : "f"(a[i]));
}
extern "C" __global__ void narrow_brain(const float* a, unsigned short* c, int n) {
  int i = blockIdx.x * 256 + threadIdx.x;
  asm("cvt.rn.bf16.f32 %0, %1;" : "=h"(c[i]) : "f"(a[i]));
}"""
    halves = np.arange(65536, dtype=np.uint16)
    wide, back = sim.empty(65536, np.float32), sim.empty(65536, np.uint16)
    sim.launch(sim.function(source, "widen"), 256, 256, sim.array(halves), wide, np.int32(0))
    np.testing.assert_array_equal(wide.numpy(), halves.view(np.float16).astype(np.float32))
    bits = R.integers(0, 2**32, 65536, dtype=np.uint32)
    near = halves.view(np.float16).astype(np.float32).view(np.uint32)
    ties = near + R.integers(0x0FFF, 0x1002, 65536).astype(np.uint32)  # round to even
    with np.errstate(all="ignore"):
        for x in (bits.view(np.float32), near.view(np.float32), ties.view(np.float32)):
            number = ~np.isnan(x)
            sim.launch(sim.function(source, "narrow"), 256, 256, sim.array(x), back, np.int32(0))
            got, want = back.numpy(), x.astype(np.float16).view(np.uint16)
            np.testing.assert_array_equal(got[number], want[number])
            assert (got[~number] == 0x7FFF).all()
            name = "narrow_brain"
            sim.launch(sim.function(source, name), 256, 256, sim.array(x), back, np.int32(0))
            u = x.view(np.uint32).astype(np.uint64)
            want = ((u + 0x7FFF + (u >> 16 & 1)) >> 16).astype(np.uint16)
            np.testing.assert_array_equal(back.numpy()[number], want[number])


def test_bit_intrinsics(sim):
    source = """
extern "C" __global__ void f(const unsigned* a, const unsigned* b, unsigned* c, int n) {
  int i = threadIdx.x; if (i >= n) return; unsigned x = a[i], y = b[i];
  unsigned r[14] = {(unsigned)__popc(x), (unsigned)__clz(x), (unsigned)__ffs(x), __brev(x),
    __byte_perm(x, y, 0x3607), __umulhi(x, y), (unsigned)__mulhi((int)x, (int)y),
    __funnelshift_l(x, y, y), __funnelshift_rc(x, y, 40), __usad(x, y, 7),
    (unsigned)__dp4a((int)x, (int)y, 5), __vabsdiffu4(x, y), (x >> 7) & 0x1ff,
    (unsigned)(((int)(x << 9)) >> 20)};
  for (int k = 0; k < 14; ++k) c[k * n + i] = r[k];
}"""
    x, y = integers(np.uint32), integers(np.uint32)
    got = apply(sim, source, "f", np.uint32, x, y, shape=(14, x.size))

    def one(a, b):
        low = 2**32 - 1
        byte = lambda v, k: v >> 8 * k & 255
        sbyte = lambda v, k: byte(v, k) - (byte(v, k) >> 7 << 8)
        s = lambda v: v - (v >> 31 << 32)
        both = [byte(a, k) for k in range(4)] + [byte(b, k) for k in range(4)]
        perm = sum(both[k] << 8 * j for j, k in enumerate([7, 0, 6, 3]))
        return [
            a.bit_count(), 32 - a.bit_length(), (a & -a).bit_length(),
            int(f"{a:032b}"[::-1], 2), perm, a * b >> 32, (s(a) * s(b) >> 32) & low,
            ((b << 32 | a) << (b & 31) >> 32) & low, (b << 32 | a) >> 32, (abs(a - b) + 7) & low,
            (5 + sum(sbyte(a, k) * sbyte(b, k) for k in range(4))) & low,
            sum(abs(byte(a, k) - byte(b, k)) << 8 * k for k in range(4)), a >> 7 & 0x1FF,
            (s(a << 9 & low) >> 20) & low,
        ]  # fmt: skip

    want = np.array([one(int(a), int(b)) for a, b in zip(x, y)], np.uint32).T
    np.testing.assert_array_equal(got, want)


def test_wide_integer_products(sim):
    source = """
typedef unsigned long long u64; typedef long long i64;
extern "C" __global__ void f(const u64* a, const u64* b, u64* c, int n) {
  int i = threadIdx.x; if (i >= n) return;
  c[i] = __umul64hi(a[i], b[i]); c[n + i] = (u64)__mul64hi((i64)a[i], (i64)b[i]);
  c[2 * n + i] = __brevll(a[i]); c[3 * n + i] = __popcll(a[i]) + 100 * __clzll(b[i]);
}"""
    x, y = integers(np.uint64), integers(np.uint64)
    got = apply(sim, source, "f", np.uint64, x, y, shape=(4, x.size))
    s = lambda v: v - (v >> 63 << 64)
    want = [
        [a * b >> 64, (s(a) * s(b) >> 64) % 2**64, int(f"{a:064b}"[::-1], 2),
         a.bit_count() + 100 * (64 - b.bit_length())]
        for a, b in zip(x.tolist(), y.tolist())
    ]  # fmt: skip
    np.testing.assert_array_equal(got, np.array(want, np.uint64).T)


def test_philox_counter_generator(sim):
    source = """
extern "C" __global__ void philox(const unsigned* in, unsigned* out, int n) {
  unsigned c[4] = {threadIdx.x, 1, 2, 3}, k0 = in[0], k1 = in[1];
  for (int r = 0; r < 10; ++r) {
    unsigned h0 = __umulhi(0xD2511F53u, c[0]), l0 = 0xD2511F53u * c[0];
    unsigned h1 = __umulhi(0xCD9E8D57u, c[2]), l1 = 0xCD9E8D57u * c[2];
    unsigned d[4] = {h1 ^ c[1] ^ k0, l1, h0 ^ c[3] ^ k1, l0};
    for (int j = 0; j < 4; ++j) c[j] = d[j];
    k0 += 0x9E3779B9u; k1 += 0xBB67AE85u;
  }
  for (int j = 0; j < 4; ++j) out[4 * threadIdx.x + j] = c[j];
}"""
    key = np.array([42, 77], np.uint32)
    got = apply(sim, source, "philox", np.uint32, key, block=64, shape=(64, 4))

    def reference(counter):
        c, k, low = [counter, 1, 2, 3], [42, 77], 2**32 - 1
        for _ in range(10):
            a, b = 0xD2511F53 * c[0], 0xCD9E8D57 * c[2]
            c = [b >> 32 ^ c[1] ^ k[0], b & low, a >> 32 ^ c[3] ^ k[1], a & low]
            k = [(k[0] + 0x9E3779B9) & low, (k[1] + 0xBB67AE85) & low]
        return c

    np.testing.assert_array_equal(got, [reference(i) for i in range(64)])


def test_atomics(sim):
    source = """
extern "C" __global__ void f(int* a, unsigned* u, unsigned long long* l, float* x, double* d) {
  int t = blockIdx.x * blockDim.x + threadIdx.x;
  atomicAdd(a, t); atomicMax(a + 1, t); atomicMin(a + 2, -t); atomicXor(a + 3, t);
  atomicOr(a + 4, t); atomicAnd(a + 5, ~t); atomicInc(u, 9); atomicDec(u + 1, 6);
  atomicAdd(l, 1ull << 33); atomicMax(l + 1, (unsigned long long)t << 40);
  atomicAdd(x, 0.5f); atomicAdd(d, 0.25);
  unsigned long long old = l[2], was;
  do { was = old; old = atomicCAS(l + 2, was, was + t); } while (old != was);
  if (t == 5) atomicExch(u + 2, 123u);
}"""
    n = 4 * 96
    a = sim.array(np.array([0, -1, 1, 0, 0, -1], np.int32))
    u = sim.array(np.zeros(3, np.uint32))
    l = sim.array(np.zeros(3, np.uint64))
    x, d = sim.array(np.zeros(1, np.float32)), sim.array(np.zeros(1))
    sim.launch(sim.function(source, "f"), 4, 96, a, u, l, x, d)
    t = np.arange(n)
    want = [t.sum(), n - 1, 1 - n, np.bitwise_xor.reduce(t), 511, ~511]
    np.testing.assert_array_equal(a.numpy(), want)
    count = 0
    for _ in range(n):
        count = 6 if count == 0 or count > 6 else count - 1
    np.testing.assert_array_equal(u.numpy(), [n % 10, count, 123])
    np.testing.assert_array_equal(l.numpy(), [n << 33, (n - 1) << 40, t.sum()])
    assert x.numpy()[0] == n / 2 and d.numpy()[0] == n / 4


def test_warp_operations(sim):
    source = """
extern "C" __global__ void f(const int* a, int* c, int n) {
  int i = threadIdx.x, x = a[i], p; unsigned all = ~0u;
  int r[13] = {__shfl_sync(all, x, 3), __shfl_up_sync(all, x, 2), __shfl_down_sync(all, x, 5, 16),
    __shfl_xor_sync(all, x, 4, 8), __any_sync(all, x == 3), __all_sync(all, x > -1),
    (int)__ballot_sync(all, x > 4), (int)__match_any_sync(all, x),
    (int)__reduce_add_sync(all, x), __reduce_max_sync(all, x),
    __syncthreads_count(x > 4), __syncthreads_or(x == 9), __match_all_sync(all, x, &p) + 100 * p};
  for (int k = 0; k < 13; ++k) c[k * n + i] = r[k];
}"""
    x = R.integers(0, 9, 64).astype(np.int32)
    got = apply(sim, source, "f", np.int32, x, block=64, shape=(13, 64))
    lane, w = np.arange(64) % 32, x.reshape(2, 32)
    base = np.arange(64) - lane
    each = lambda v: np.repeat(np.array(v), 32)
    down = np.where(lane % 16 + 5 < 16, x[(np.arange(64) + 5) % 64], x)
    bits = lambda m: int(sum(int(b) << k for k, b in enumerate(m)))
    signed = lambda v: np.array(v, np.uint32).view(np.int32)
    want = [
        x[base + 3], np.where(lane >= 2, x[np.arange(64) - 2], x), down, x[np.arange(64) ^ 4],
        each([(v == 3).any() for v in w]), each([1, 1]), signed(each([bits(v > 4) for v in w])),
        signed([bits(w[i // 32] == x[i]) for i in range(64)]), each(w.sum(1)), each(w.max(1)),
        each([(x > 4).sum()] * 2), each([0, 0]), each([0, 0]),
    ]  # fmt: skip
    np.testing.assert_array_equal(got, np.array(want, np.int64).astype(np.int32))
