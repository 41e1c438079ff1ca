"""Why a case is slower than a peer's, and the next idea: {case key: text}."""

_ACCURATE = (
    "bound by arithmetic; within 2 ulp, also far out, where PyTorch's errs by more; next: a "
    "shorter formula as exact"
)
_CACHE = "bound by what the caches take of 4 MB (80 GB/s); next: rows that begin on whole lines"
_MEMORY = "bound by memory"
_PLACES = "bound by memory; next: in how many places at once an array is read, by processor"
_LAPACK = "NumPy's LAPACK behind one seam"
_LEVEL = "level within this machine's scatter"

REASONS: dict[str, str] = {
    "elementwise: gelu, 100,000": _ACCURATE,
    "elementwise: gelu, 1,000,000": _ACCURATE,
    "elementwise: sigmoid": _ACCURATE,
    "elementwise: silu": _ACCURATE,
    "elementwise: a * b, float64": _MEMORY,
    "broadcast and strides: (1000, 1000) + row": _CACHE,
    "broadcast and strides: cat of 10 along rows": (
        "120 us in other runs (PyTorch 107 to 134); next: rows that begin on whole lines"
    ),
    "broadcast and strides: repeat": _CACHE,
    "convolution: 8x64x28x28 -> 64, 3x3, dilation 2": (
        "level at the limit of arithmetic: 90 % of the FMA peak, PyTorch 98; next: fewer "
        "instructions at a row's ends"
    ),
    "convolution: 16x64x512 -> 64, 1-d, 5": (
        "at 76 % of the FMA peak, PyTorch 79; next: fewer instructions at a row's ends"
    ),
    "indexing: gather(1)": _LEVEL,
    "linear algebra: 64 x 4096 @ 4096 x 64": "rows of A share cache sets; next: longer parts",
    "linear algebra: solve, 100": _LAPACK,
    "linear algebra: inverse, 100": _LAPACK,
    "linear algebra: svd, 100": _LAPACK,
    "linear algebra: eigh, 100": (
        "a decomposition of our own beside LAPACK's; next: blocks in the reduction"
    ),
    "recurrent: LSTM 35x32, 128": _LEVEL,
    "NumPy's ground: a[::2] + a[1::2], 10,000,000": _PLACES,
    **{
        f"NumPy's ground: a.max() - a.min(), {size}": _PLACES
        for size in ("1,000,000", "10,000,000", "100,000,000")
    },
    "NumPy's ground: dot, 1,000,000": _MEMORY,
    "NumPy's ground: a @ a, 100 x 100": (
        "at 77 % of the FMA peak; next: tiles that divide 100 rows and columns"
    ),
    "NumPy's ground: a @ a, 1,000 x 1,000": "level at 85 to 89 % of the FMA peak",
}

# What falls short of an aim without being slower than a peer.
SHORT = (
    "A training step of the character LSTM is 1.4 times as fast at two threads and 1.1 at one, the "
    "small GPT's 1.6 and 1.2 (aim: 1.5). They take 10.6 and 4.0 GFLOP and run at 72 to 74 % and 62 "
    "to 69 % of the FMA peak; PyTorch's products of such shapes run at 74 to 89 %. Next: the cells "
    "of a step beside the products of the next one.",
    "NumPy's ground: 2.9 and 2.4 (aim: 5). Calls on a few numbers take 0.15 to 0.2 us where "
    "NumPy's take 0.4 to 0.6, and large arrays are bound by memory, one operator at a time. Next: "
    "whole expressions in one pass.",
)
