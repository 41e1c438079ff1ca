"""Why a case is slower than a peer's, and the next idea: {case key: text}."""

_MEMORY = "memory-bound on two threads; next: grain and non-temporal stores"
_COPY = "copies row by row in one pass of small moves; next: whole blocks, two threads"
_LAPACK = "NumPy's LAPACK and FFT behind one seam, outside what the project exists for"
_ROWS = "panels end inside an image; next: panels across images"

REASONS: dict[str, str] = {
    "elementwise: a + b, bfloat16": "by way of float buffers; next: convert in registers",
    "elementwise: lerp": _MEMORY,
    "elementwise: add_, 1,000,000": _MEMORY,
    "elementwise: addcmul": _MEMORY,
    "elementwise: clamp": _MEMORY,
    "elementwise: to(float64)": _MEMORY,
    "elementwise: a // 3, int64": "the division of 64-bit integers has no vector form here",
    "elementwise: a ** 3": _MEMORY,
    "broadcast and strides: (1000, 1) * (1000)": _MEMORY,
    "broadcast and strides: (1000, 1000) + row": _MEMORY,
    "broadcast and strides: (1000, 1000) + column": _MEMORY,
    "broadcast and strides: (64, 32, 28, 28) * channels": _MEMORY,
    "broadcast and strides: transposed + contiguous, 1000 x 1000": _MEMORY,
    "broadcast and strides: flip": _COPY,
    "broadcast and strides: roll": _COPY,
    "broadcast and strides: cat of 10": _COPY,
    "broadcast and strides: repeat": _COPY,
    "broadcast and strides: pad": _COPY,
    "convolution: 16x256x14x14 -> 256, 1x1": _ROWS,
    "convolution: 16x256x14x14 -> 256, 1x1, backward": _ROWS,
    "convolution: 2x16x16x16x16 -> 16, 3-d, 3": "not worked on: by columns; next: direct kernel",
    "convolution: 2x16x16x16x16 -> 16, 3-d, 3, backward": "as forward",
    "indexing: gather(1)": "index checks go number by number; next: by vectors",
    "indexing: scatter_add(0)": "one thread, in a fixed order, so that sums are reproducible",
    "indexing: embedding, backward": "one thread, in a fixed order; next: rows in parts by index",
    "indexing: a[i] = v": "one thread; next: rows in chunks",
    "linear algebra: 1024 x 1024 @ 1024 x 1": "memory-bound; next: chunks of rows for both threads",
    "linear algebra: dot, 1,000,000": "one thread; next: fixed parts",
    "linear algebra: outer, 1000": _MEMORY,
    "linear algebra: addmm": "the sum is a pass of its own; next: into the product's store",
    "linear algebra: cholesky, 100": _LAPACK,
    "linear algebra: qr, 100": _LAPACK,
    "linear algebra: det, 4": _LAPACK,
    "linear algebra: svd, 100": _LAPACK,
    "linear algebra: eigh, 100": _LAPACK,
    "linear algebra: eigvalsh, 100": _LAPACK,
    "linear algebra: lstsq, 100": _LAPACK,
    "linear algebra: fft of 1,024": _LAPACK,
    "linear algebra: rfft2 of 512 x 512": _LAPACK,
}
