"""The numbers of every row's formula on a GPU, against the same op on the CPU."""

import ctypes
import os

import numpy as np
import pytest

import cuda_rows
import flambeau as fb
import flambeau.nn.functional as F
from cuda_rows import ALL, ROWS, compile_text, find_nvrtc, program, result_type
from cuda_support import needs_cuda
from flambeau import _C

pytestmark = [needs_cuda, pytest.mark.filterwarnings("ignore::RuntimeWarning")]
DTYPES = {
    "bool": "bool",
    "float": "float32",
    "double": "float64",
    "c64": "complex64",
    "c128": "complex128",
} | {t: t[:-2] for t in cuda_rows.KINDS["kInt"]}


class Device:
    """Just enough of the CUDA driver to run a kernel over arrays."""

    def __init__(self):
        folder = os.environ.get("FLAMBEAU_CUDA_LIBS")
        self.cuda = ctypes.CDLL(os.path.join(folder, "libcuda.so.1") if folder else "libcuda.so.1")
        context, gpu, major, minor = ctypes.c_void_p(), *(ctypes.c_int() for _ in range(3))
        self("cuInit", 0)
        self("cuDeviceGet", ctypes.byref(gpu), 0)
        self("cuDeviceGetAttribute", ctypes.byref(major), 75, gpu)
        self("cuDeviceGetAttribute", ctypes.byref(minor), 76, gpu)
        self("cuDevicePrimaryCtxRetain", ctypes.byref(context), gpu)
        self("cuCtxSetCurrent", context)
        arch = min(90, major.value * 10 + minor.value)
        self.options = [f"--gpu-architecture=compute_{arch}", *cuda_rows.OPTIONS[1:]]

    def __call__(self, name, *args):
        code = getattr(self.cuda, name)(*args)
        assert code == 0, f"{name} gives error {code}"

    def load(self, ptx):
        module = ctypes.c_void_p()
        self("cuModuleLoadData", ctypes.byref(module), ptx.encode())
        return module

    def buffer(self, array):
        at = ctypes.c_uint64()
        self("cuMemAlloc_v2", ctypes.byref(at), ctypes.c_size_t(max(array.nbytes, 1)))
        self("cuMemcpyHtoDAsync_v2", at, ctypes.c_void_p(array.ctypes.data), array.nbytes, None)
        return at

    def run(self, module, name, inputs, out_type, params):
        function, n = ctypes.c_void_p(), len(inputs[0])
        self("cuModuleGetFunction", ctypes.byref(function), module, name.encode())
        out = np.zeros(n, out_type)
        numbers = np.array(list(params) + [0] * (6 - len(params)), np.float64)
        inputs = [np.ascontiguousarray(x) for x in inputs] + [np.zeros(1)] * (3 - len(inputs))
        buffers = [self.buffer(x) for x in [*inputs, out, numbers]]
        args = [*buffers, ctypes.c_int(n)]
        pointers = (ctypes.c_void_p * 6)(*[ctypes.addressof(a) for a in args])
        grid = (n + 127) // 128
        self("cuLaunchKernel", function, grid, 1, 1, 128, 1, 1, 0, None, pointers, None)
        at, nbytes = ctypes.c_void_p(out.ctypes.data), ctypes.c_size_t(out.nbytes)
        self("cuMemcpyDtoHAsync_v2", at, buffers[3], nbytes, None)
        self("cuStreamSynchronize", None)
        for b in buffers:
            self("cuMemFree_v2", b)
        return out


@pytest.fixture(scope="module")
def device():
    return Device()


# ---- operands: special values, alone or each with each, and random ones ----
def numbers(dtype, rng, n):
    """Special values of a real type, and n random ones of every size."""
    dtype = np.dtype(dtype)
    if dtype.kind == "b":
        return np.array([False, True]), rng.integers(0, 2, n).astype(bool)
    if dtype.kind in "iu":
        info = np.iinfo(dtype)
        special = [info.min, info.max, 0, 1, 2, 3, 7, 8, 31, 63, 100, info.max // 2 + 1]
        special += [-1, -2, -3, -8] if dtype.kind == "i" else []
        small = rng.integers(max(info.min, -100), 100, n // 2)
        large = rng.integers(info.min, info.max, n - n // 2, dtype, endpoint=True)
        return np.array(special, dtype), np.concatenate([small.astype(dtype), large])
    info = np.finfo(dtype)
    half = [0.0, 1.0, 0.5, 2.0, 3.0, 0.1, 10.0, 1.5, 2.5, np.pi, 7.5e-9, 20.5, 30.0, 1e5, 1e8]
    half += [np.inf, info.max, info.tiny, info.smallest_subnormal * 5, 1 + info.eps, 1 - info.eps]
    half += [88.5, 0.7071] if dtype == np.float32 else [709.5, 1e300, 1e-300]
    special = np.array([*half, *(-x for x in half), np.nan], dtype)
    size = np.exp(rng.uniform(-20, 20, n // 2)) * rng.choice([-1, 1], n // 2)
    return special, np.concatenate([size, rng.standard_normal(n - n // 2) * 3]).astype(dtype)


def ordinary(x):
    """Zero, infinite, NaN, or far from the ends of the type's range."""
    root = np.sqrt(np.finfo(x.dtype).max) / 16
    return ~np.isfinite(x) | (x == 0) | ((np.abs(x) < root) & (np.abs(x) > 1 / root))


def operands(dtype, count, rng):
    dtype = np.dtype(dtype)
    if dtype.kind != "c":
        special, random = numbers(dtype, rng, 1200)
        pairs = np.meshgrid(special, special, indexing="ij") if count > 1 else [special]
        pairs = [p.ravel() for p in pairs]
        pairs += [rng.permutation(pairs[0])] * (count - 2)
        return [np.concatenate([p, rng.permutation(random)]) for p in pairs]
    real = np.dtype(f"f{dtype.itemsize // 2}")
    out = []
    for _ in range(count):
        parts = operands(real, 2, rng)
        if count > 1:  # where products overflow or vanish, the order of work decides
            parts = [np.where(ordinary(p), p, real.type(0.25)) for p in parts]
        order = rng.permutation(len(parts[0])) if out else slice(None)
        z = np.empty(len(parts[0]), dtype)
        top = np.finfo(real).max
        parts = [np.where(np.abs(p) == top, p / 2, p) for p in parts]  # magnitudes stay finite
        z.real, z.imag = parts[0][order], parts[1][order]
        out.append(z)
    return out


# ---- the same op on the CPU ----
PARAMS = {
    "softplus": (1.5, 20),
    "elu": (1.2, 1.1, 0.9),
    "leaky_relu": (0.01,),
    "hardtanh": (0, 2),
    "hardshrink": (0.5,),
    "softshrink": (0.5,),
    "threshold": (1, 2),
    "clamp_scalar": (1, 3),
    "within_open": (1, 3),
    "within_closed": (1, 3),
    "slope": (0.25,),
    "greater_mask": (1,),
    "polygamma_n": (3,),
    "logit_eps": (0.125,),
    "nan_to_num_to": (1, 3, 2),
    "round": (0,),
    "addcmul": (2,),
    "addcdiv": (2,),
}


def slope_of(f):
    def backward(g, x):
        x = x.detach().requires_grad_()
        f(x).backward(g)
        return x.grad

    return backward


def by_numpy(f):
    def call(*args):
        arrays = [a.numpy() if isinstance(a, fb.Tensor) else a for a in args]
        return fb.from_numpy(np.asarray(f(*arrays)).astype(arrays[0].dtype))

    return call


OTHERS = {  # rows that Python has under another name, or that only derivatives use
    "cube": lambda x: fb.pow(x, 3),
    "gelu_erf": F.gelu,
    "gelu_tanh": lambda x: F.gelu(x, approximate="tanh"),
    "gelu_erf_backward": slope_of(F.gelu),
    "gelu_tanh_backward": slope_of(lambda x: F.gelu(x, approximate="tanh")),
    "silu_backward": slope_of(F.silu),
    "sigmoid_backward": lambda g, y: g * fb.conj_physical(y * (1 - y)),
    "tanh_backward": lambda g, y: g * fb.conj_physical(1 - y * y),
    "threshold_backward": by_numpy(lambda g, x: np.where(x > 0, g, 0)),
    "clamp_scalar": fb.clamp,
    "within_open": by_numpy(lambda x, low, high: (x > low) & (x < high)),
    "within_closed": by_numpy(lambda x, low, high: (x >= low) & (x <= high)),
    "slope": by_numpy(lambda x, low: np.where(x > 0, 1, low)),
    "greater_mask": by_numpy(lambda x, than: x > than),
    "trunc_divide": lambda a, b: fb.div(a, b, rounding_mode="trunc"),
    "larger": by_numpy(lambda a, b: np.where(a == b, 0.5, a > b)),
    "trigamma": lambda x: fb.polygamma(1, x),
    "polygamma_n": lambda x, n: fb.polygamma(n, x),
    "logit_eps": fb.logit,
    "nan_to_num_to": fb.nan_to_num,
    "round": lambda x, n: fb.round(x, decimals=n),
    "addcmul": lambda a, b, c, v: fb.addcmul(a, b, c, value=v),
    "addcdiv": lambda a, b, c, v: fb.addcdiv(a, b, c, value=v),
}


# What the CPU and the GPU may differ by, in ulp of the CPU's number, and, where terms cancel, in
# epsilons of the largest operand. CUDA bounds its float functions by 4 ulp, the CPU's by 2.
DEFAULT = (6, 0)
LOOSER = {
    "gelu_tanh": (6, 2),
    "logaddexp": (6, 2),
    "logaddexp2": (6, 2),
    "silu_backward": (64, 8),
    ("silu_backward", "c"): (256, 8),
    "tanh_backward": (6, 8),
    "sigmoid_backward": (6, 8),
    ("sigmoid", "c"): (64, 8),
    ("silu", "c"): (64, 8),
    "gelu_erf_backward": (6, 2),
    "gelu_tanh_backward": (6, 32),
    "lgamma": (6, 8),
    "digamma": (6, 8),
    "igamma": (64, 0),
    "igammac": (64, 8),
    # by recurrence, or by cosines of multiples of an angle
    **{r[0]: (6, 32) for r in ROWS if "polynomial" in r[0]},
    # CUDA's Bessel functions are good to 5e-12 from 8 on
    **{f"special_bessel_{f}": (16, 64) for f in ("j0", "j1", "y0", "y1")},
    "lerp": (6, 8),
    "addcmul": (6, 8),
    "addcdiv": (6, 8),
}


def on_cpu(row, dtype, inputs):
    name = row[0]
    call = OTHERS.get(name) or getattr(_C, name)
    return call(*(fb.from_numpy(x) for x in inputs), *PARAMS.get(name, ())).numpy()


def spacing(x, info):
    return np.spacing(np.clip(np.abs(x), info.tiny, info.max / 2).astype(info.dtype))


def differ(got, want, ulps, room):
    """Where two arrays of reals differ by more than is allowed."""
    if want.dtype.kind != "f":
        return got != want
    near = np.isfinite(want) & (
        np.abs(got - want) <= ulps * spacing(want, np.finfo(want.dtype)) + room
    )
    zeros = (want == 0) & (got == 0) & (np.signbit(want) != np.signbit(got)) & (room == 0)
    return ~(near | (got == want) | (np.isnan(got) & np.isnan(want))) | zeros


def differ_complex(got, want, ulps, room):
    """The same of complex numbers, by their magnitude; all infinities are one."""
    bad = np.isnan(got.real) != np.isnan(want.real)
    bad |= np.isnan(got.imag) != np.isnan(want.imag)
    bad |= np.isfinite(got) != np.isfinite(want)
    both = np.isfinite(got) & np.isfinite(want)
    size = np.maximum(np.abs(want.real), np.abs(want.imag))
    gap = np.maximum(np.abs(got.real - want.real), np.abs(got.imag - want.imag))
    bad |= both & (gap > ulps * spacing(size, np.finfo(want.dtype)) + room)
    return bad & ~(np.isinf(got) & np.isinf(want))


def complaint(row, type_, got, want, inputs):
    kind = (row[0], want.dtype.kind)
    ulps, eps = LOOSER.get(kind) or LOOSER.get(row[0], DEFAULT)
    room = 0
    if eps and want.dtype.kind in "fc":
        sizes = [np.where(np.isfinite(x), np.abs(x), 0) for x in inputs]
        room = eps * np.finfo(want.dtype).eps * np.maximum.reduce(sizes)
    bad = (differ_complex if want.dtype.kind == "c" else differ)(got, want, ulps, room)
    if not bad.any():
        return []
    shown = [
        f"  at {', '.join(str(x[i]) for x in inputs)}: GPU {got[i]}, CPU {want[i]}"
        for i in np.flatnonzero(bad)[:6]
    ]
    return [f"{row[0]} of {type_}: {bad.sum()} of {len(bad)} differ", *shown]


def fit(name, inputs):
    """Operands that the op takes in the time a test has, and where it is well-conditioned."""
    a, b = inputs[0], inputs[-1]
    if "divide" in name or name in ("remainder", "fmod"):
        if b.dtype.kind in "iu":
            b[b == 0] = 3  # by zero the CPU raises
    elif "polynomial" in name or name.startswith("igamma"):
        for x, other in ((a, 0.75), (b, 7)):
            x[np.isfinite(x) & (np.abs(x) > 40)] = other
    elif name in ("polygamma_n", "special_zeta"):  # sums that begin at the argument
        b[np.isfinite(b) & (b < -40)] = -6.5
    elif name == "hypot":
        for x in (a, b):
            x[np.abs(x) == np.finfo(x.dtype).max] /= 2
    elif name == "pow" and a.dtype.kind == "c":
        with np.errstate(all="ignore"):
            far = np.isfinite(a) & np.isfinite(b) & ~(np.abs(b * np.log(a)) < 3)
        b[far] = 2 - 1j
        a[far] = 0.5j
    return inputs


@pytest.mark.parametrize("type_", cuda_rows.TYPES)
def test_matches_cpu(device, type_):
    chosen = [r for r in ROWS if type_ in r[3]]
    ptx, log = compile_text(find_nvrtc(), program(ALL, type_, chosen), device.options)
    assert ptx, log
    module = device.load(ptx)
    rng = np.random.default_rng(0)
    problems = []
    for row in chosen:
        name, letters, rule = row[:3]
        inputs = fit(name, operands(DTYPES[type_], len(letters), rng))
        want = on_cpu(row, type_, inputs)
        out_type = DTYPES[result_type(rule, type_)]
        assert want.dtype == out_type, f"{name} gives {want.dtype} on the CPU"
        got = device.run(module, "row_" + name, inputs, out_type, PARAMS.get(name, ()))
        problems += complaint(row, type_, got, want, inputs)
    assert not problems, "\n" + "\n".join(problems)


def test_integer_division_by_zero_sets_all_bits(device):
    """A kernel cannot raise; it must not stop either."""
    names = ["floor_divide", "trunc_divide", "remainder", "fmod"]
    for type_ in ("int32_t", "uint8_t", "int64_t"):
        chosen = [r for r in ROWS if r[0] in names]
        ptx, log = compile_text(find_nvrtc(), program(ALL, type_, chosen), device.options)
        module = device.load(ptx)
        a = np.array([0, 7, 100], DTYPES[type_])
        for name in names:
            got = device.run(module, "row_" + name, [a, a * 0], a.dtype, ())
            assert (got == np.array(-1).astype(a.dtype)).all(), name
