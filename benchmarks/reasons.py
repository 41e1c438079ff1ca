"""Why a case is slower than a peer's, and the next idea: {case key: text}."""

_FMA = (
    "level at the limit of arithmetic: 87 to 92 % of the FMA peak (116 GFLOP/s a core), PyTorch 92 "
    "to 100 %; next: fewer instructions beside the multiplications at a row's ends"
)
_GEMM = "level at the limit of arithmetic, 95 % of the FMA peak (116 GFLOP/s a core)"
_ACCURATE = (
    "bound by arithmetic; within 2 ulp, also far out, where PyTorch's errs by more; next: a "
    "shorter formula as exact"
)
_CACHE = "bound by what the caches take of 4 MB (80 GB/s); next: rows that begin on whole lines"
_MEMORY = "bound by memory"
_LAPACK = "a decomposition of our own beside LAPACK's; next: blocks in the reduction"

_PLACES = "bound by memory; next: in how many places at once an array is read, by processor"
_LEVEL = "level within this machine's scatter"

REASONS: dict[str, str] = {
    "elementwise: gelu, 100,000": _ACCURATE,
    "elementwise: gelu, 1,000,000": _ACCURATE,
    "elementwise: sigmoid": _ACCURATE,
    "elementwise: silu": _ACCURATE,
    "elementwise: a * b, float64": _MEMORY,
    "elementwise: addcmul": _CACHE,
    "broadcast and strides: (1000, 1000) + row": _CACHE,
    "broadcast and strides: (1000, 1000) + column": _CACHE,
    "broadcast and strides: (1000, 1) * (1000)": _CACHE,
    "broadcast and strides: repeat": _CACHE,
    "broadcast and strides: roll": _CACHE,
    "broadcast and strides: pad": _CACHE,
    "broadcast and strides: cat of 10": _CACHE,
    "broadcast and strides: cat of 10 along rows": _CACHE,
    "broadcast and strides: chunk(4) and cat": _CACHE,
    "convolution: 8x3x112x112 -> 64, 7x7, stride 2": _FMA,
    "convolution: 16x256x14x14 -> 256, 1x1": _FMA,
    "convolution: 32x16x32x32 -> 32, 3x3, stride 2": _FMA,
    "convolution: 8x64x28x28 -> 64, 3x3, dilation 2": _FMA,
    "convolution: 8x64x28x28 -> 64, 3x3, dilation 2, backward": _FMA,
    "convolution: 16x64x512 -> 64, 1-d, 5": _FMA,
    "indexing: one_hot": "bound by clearing the result",
    "linear algebra: 512 x 512 @ 512 x 512": _GEMM,
    "linear algebra: 4096 x 64 @ 64 x 64": _GEMM,
    "linear algebra: 64 x 4096 @ 4096 x 64": "rows of A share cache sets; next: longer parts",
    "linear algebra: a.T @ b, 512": _GEMM,
    "linear algebra: a @ b.T, 512": _GEMM,
    "linear algebra: float64, 256": _GEMM,
    "linear algebra: bfloat16, 256": _GEMM,
    "linear algebra: dot, 1,000,000": _MEMORY,
    "linear algebra: outer, 1000": _CACHE,
    "linear algebra: eigh, 100": _LAPACK,
    "linear algebra: eigvalsh, 100": _LAPACK,
    "linear algebra: inverse, 100": "NumPy's LAPACK behind one seam",
    "linear algebra: svd, 100": "NumPy's LAPACK behind one seam",
    "linear algebra: solve, 100": "NumPy's LAPACK behind one seam",
    "reduction: sum, 16,000,000": _MEMORY,
    "reduction: mean, 16,000,000": _MEMORY,
    "reduction: sum(1)": _CACHE,
    "reduction: prod(1)": _CACHE,
    "NumPy's ground: a @ a, 1,000 x 1,000": _GEMM,
    "NumPy's ground: a @ a, 100 x 100": _GEMM,
    "NumPy's ground: a[::2] + a[1::2], 10": _LEVEL,
    "NumPy's ground: a[::2] + a[1::2], 10,000,000": _PLACES,
    **{
        f"NumPy's ground: a.max() - a.min(), {size}": _PLACES
        for size in ("1,000,000", "10,000,000", "100,000,000")
    },
    "NumPy's ground: dot, 1,000,000": _MEMORY,
    "indexing: gather(1)": _LEVEL,
    "recurrent: LSTM 35x32, 128": _LEVEL,
}

# What falls short of an aim without being slower than a peer.
SHORT = (
    "A training step of the character LSTM is 1.4 times as fast at two threads and 1.1 at one, the "
    "small GPT's 1.6 and 1.2 (aim: 1.5). They take 10.6 and 4.0 GFLOP and run at 72 to 74 % and 62 "
    "to 69 % of the FMA peak; PyTorch's products are near it as well. Next: the cells of a step "
    "beside the products of the next one.",
    "NumPy's ground: 2.9 and 2.4 (aim: 5). Calls on a few numbers take 0.15 to 0.2 us where "
    "NumPy's take 0.4 to 0.6, and large arrays are bound by memory, one operator at a time. Next: "
    "whole expressions in one pass.",
)
