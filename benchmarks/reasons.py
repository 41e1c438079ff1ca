"""Why a case is slower than a peer's, and the next idea: {case key: text}."""

_SHARED = "on two threads chunks go to whichever comes first; next: each keeps its chunks"
_LEVEL = "level within this machine's scatter, bound by the caches"
_MEMORY = "bound by memory; the machine's share of the last cache varies"
_GEMM = "the inner kernel runs at the FMA peak (87 to 94 GFLOP/s a core); next: fewer passes over A"
_TEMPORARY = "NumPy writes large temporaries in place; next: the same"
_LAPACK = "NumPy's LAPACK behind one seam; the core has no such decomposition"

REASONS: dict[str, str] = {
    "elementwise: a + b, 100,000": _SHARED,
    "elementwise: exp, 100,000": _SHARED,
    "elementwise: a + b, 1,000,000": _SHARED,
    "elementwise: a & b, bool": _SHARED,
    "elementwise: sigmoid": "a correction holds it to 2 ulp; PyTorch's errs by up to 2.4",
    "elementwise: a ** 3": _SHARED,
    "elementwise: clamp": _SHARED,
    "elementwise: lerp": _LEVEL,
    "elementwise: addcmul": _SHARED,
    "elementwise: add_, 1,000,000": _SHARED,
    "elementwise: to(float64)": _SHARED,
    "broadcast and strides: (1000, 1) * (1000)": _LEVEL,
    "broadcast and strides: (1000, 1000) + row": _LEVEL,
    "broadcast and strides: (64, 32, 28, 28) * channels": _SHARED,
    "broadcast and strides: transposed + contiguous, 1000 x 1000": (
        "three operands are more than the last cache's share, and rows of the crossed one lie "
        "apart; next: deeper prefetching"
    ),
    "broadcast and strides: flip": _SHARED,
    "broadcast and strides: cat of 10 along rows": _LEVEL,
    "broadcast and strides: stack of 64 images": _LEVEL,
    "indexing: gather(1)": _LEVEL,
    "indexing: embedding": _LEVEL,
    "indexing: embedding, backward": "scatters; sums in a fixed order for any number of threads",
    "indexing: scatter_add(0)": "in a fixed order for any number of threads",
    "normalisation and pooling: group_norm 8x64x28x28": _SHARED,
    "linear algebra: 64 x 784 @ 784 x 256": _GEMM,
    "linear algebra: 64 x 4096 @ 4096 x 64": "rows of A share cache sets; next: longer parts",
    "linear algebra: 1024 x 1024 @ 1024 x 1": _MEMORY,
    "linear algebra: dot, 1,000,000": _MEMORY,
    "linear algebra: outer, 1000": _LEVEL,
    "linear algebra: svd, 100": _LAPACK,
    "linear algebra: rfft2 of 512 x 512": _LEVEL,
    "data: state_dict and load_state_dict": _LEVEL,
    "reduction: max, 1,000,000": _SHARED,
    "reduction: amax(0)": _LEVEL,
    "reduction: amax(1)": _LEVEL,
    "reduction: sum((0, 2, 3))": (
        "a channel's runs of 3 KB lie 100 KB apart; next: in memory order, with sums by channel"
    ),
    "reduction: mean((2, 3))": _SHARED,
    "reduction: prod(1)": _SHARED,
    "sort and scan: cumsum(1)": _LEVEL,
    "attention: 1x8x1024x64": _LEVEL,
    "elementwise: silu": "as sigmoid",
    "elementwise: a * b + c, backward": _MEMORY,
    "convolution: 16x64x512 -> 64, 1-d, 5, backward": _LEVEL,
    "normalisation and pooling: grid_sample 8x16x32x32": "next: indices by vectors",
    "linear algebra: 256 x 256 @ 256 x 256": _GEMM,
    "linear algebra: a.T @ b, 512": _GEMM,
    "linear algebra: a @ b.T, 512": _GEMM,
    "linear algebra: linear 64 x 784 -> 256": _GEMM,
    "linear algebra: fft of 1,024": "one short line; next: larger radices",
    "optimizers: StepLR.step": _LEVEL,
    "reduction: sum, bfloat16": _LEVEL,
    "reduction: sum, int64": _LEVEL,
    **{
        f"NumPy's ground: {name}, {size}": _TEMPORARY
        for name in ("a * 2 + b", "((a - b) ** 2).sum()", "polynomial")
        for size in ("100,000", "1,000,000", "10,000,000", "100,000,000")
    },
    "NumPy's ground: neighbours' mean, 3,000 x 3,000": _TEMPORARY,
    "NumPy's ground: sin(a) ** 2 + cos(a) ** 2, 100,000,000": _TEMPORARY,
    "NumPy's ground: a[::2] + a[1::2], 1,000,000": _MEMORY,
    "NumPy's ground: a[::2] + a[1::2], 10,000,000": _MEMORY,
    "NumPy's ground: a.T + a, 1,000 x 1,000": "as transposed + contiguous",
    "NumPy's ground: a @ a, 100 x 100": _GEMM,
    "NumPy's ground: a @ a, 1,000 x 1,000": _GEMM,
}
