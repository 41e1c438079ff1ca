"""Why a case is slower than a peer's, and the next idea: {case key: text}."""

_TURNS = (
    "changes sides from run to run at two threads (sum(0): 0.50 to 1.33 in four runs); next: "
    "several processes for each library, and what sets them apart"
)
_CONVOLUTION = (
    "0.6 to 1.0 in this process, in a fresh pair of processes 1.8 (dilation 2: 4.6 ms, PyTorch 8); "
    "next: what sets them apart"
)
_LEVEL = "level within this machine's scatter, bound by the caches"
_MEMORY = "bound by memory; the machine's share of the last cache varies"
_GEMM = (
    "the inner kernel runs at the FMA peak (87 to 94 GFLOP/s a core), the whole at 75 to 87; next: "
    "deeper blocks (4 % faster) once their sums are as exact"
)
_TEMPORARY = (
    "three arrays of 4 MB stay in the cache, four do not: NumPy writes temporaries in place; "
    "next: the same"
)

REASONS: dict[str, str] = {
    "elementwise: clamp": _TURNS,
    "elementwise: sigmoid": "a correction holds it to 2 ulp; PyTorch's errs by up to 2.4",
    "elementwise: silu": "as sigmoid",
    "broadcast and strides: (64, 32, 28, 28) * channels": _TURNS,
    "broadcast and strides: flip": _TURNS,
    "broadcast and strides: transposed + contiguous, 1000 x 1000": (
        "1.0 ms in a fresh process (PyTorch 2.2), up to 3.4 in this one; next: what sets them apart"
    ),
    "convolution: 8x3x112x112 -> 64, 7x7, stride 2": _CONVOLUTION,
    "convolution: 16x256x14x14 -> 256, 1x1": _CONVOLUTION,
    "convolution: 8x64x28x28 -> 64, 3x3, dilation 2": _CONVOLUTION,
    "indexing: embedding": _TURNS,
    "indexing: embedding, backward": "scatters; sums in a fixed order for any number of threads",
    "indexing: scatter_add(0)": "in a fixed order for any number of threads",
    "normalisation and pooling: group_norm 8x64x28x28": _TURNS,
    "linear algebra: 256 x 256 @ 256 x 256": _GEMM,
    "linear algebra: 64 x 784 @ 784 x 256": _GEMM,
    "linear algebra: 64 x 4096 @ 4096 x 64": "rows of A share cache sets; next: longer parts",
    "linear algebra: a.T @ b, 512": _GEMM,
    "linear algebra: a @ b.T, 512": _GEMM,
    "linear algebra: linear 64 x 784 -> 256": _GEMM,
    "linear algebra: addmm": _GEMM,
    "linear algebra: einsum bij,bjk->bik": _TURNS,
    "linear algebra: outer, 1000": _TURNS,
    "linear algebra: dot, 1,000,000": _MEMORY,
    "linear algebra: svd, 100": (
        "NumPy's LAPACK behind one seam; the core has no such decomposition"
    ),
    "linear algebra: rfft2 of 512 x 512": _LEVEL,
    "reduction: sum, int64": _TURNS,
    "reduction: sum(0)": _TURNS,
    "reduction: amax(0)": _TURNS,
    "reduction: amax(1)": _TURNS,
    "reduction: prod(1)": _TURNS,
    "recurrent: LSTM 35x32, 128": _TURNS,
    "attention: 1x8x1024x64": _LEVEL,
    "attention: 4x8x256x64, bfloat16": _LEVEL,
    **{
        f"NumPy's ground: {name}, {size}": _TEMPORARY
        for name in ("a * 2 + b", "((a - b) ** 2).sum()", "polynomial")
        for size in ("100,000", "1,000,000")
    },
    "NumPy's ground: neighbours' mean, 3,000 x 3,000": (
        "NumPy writes temporaries in place; next: the same"
    ),
    "NumPy's ground: a[::2] + a[1::2], 1,000,000": _MEMORY,
    "NumPy's ground: a[::2] + a[1::2], 10,000,000": _MEMORY,
    "NumPy's ground: a.max() - a.min(), 1,000,000": _MEMORY,
    "NumPy's ground: dot, 100,000": _MEMORY,
    "NumPy's ground: dot, 1,000,000": _MEMORY,
    "NumPy's ground: a @ a, 100 x 100": _GEMM,
    "NumPy's ground: a @ a, 1,000 x 1,000": _GEMM,
}
