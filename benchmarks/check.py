"""Fails when a case has become slower than its recorded floor (benchmarks/floors.json).

It needs no PyTorch, so that it can run wherever the tests do: each case is timed in turns with its
NumPy twin or, where it has none, with a product of two 256 x 256 matrices in NumPy, on one thread.
The quotient is steady where seconds are not; a case that falls short is measured again before it
counts. `--record` writes new floors, a share of what it measures.
"""

from __future__ import annotations

import argparse
import json
import os
import pathlib
import sys
import time

os.environ["OPENBLAS_NUM_THREADS"] = os.environ["OMP_NUM_THREADS"] = "1"
# The yardstick is NumPy's code for AVX2, on every machine; by other versions' names as well.
os.environ["NPY_DISABLE_CPU_FEATURES"] = (
    "X86_V4 AVX512_ICL AVX512_SPR AVX512F AVX512CD AVX512_SKX AVX512_CLX AVX512_CNL"
)

import numpy as np

import flambeau
import flambeau.nn
import flambeau.optim
from cases import CASES

FLOORS = pathlib.Path(__file__).with_name("floors.json")
SHARE = 0.6  # a floor is this share of the quotient that was measured
TRIES = 4
QUICK = (
    "overhead: a + b",
    "overhead: a + b, with gradient",
    "overhead: a * 2",
    "overhead: relu",
    "overhead: view",
    "overhead: a[1]",
    "overhead: a[:, 1:3]",
    "overhead: a[1] = 0",
    "overhead: sum",
    "overhead: cat",
    "overhead: zeros(4)",
    "overhead: Linear(4, 4)",
    "overhead: Linear(4, 4), backward",
    "elementwise: a + b, 1,000",
    "elementwise: exp, 100,000",
    "elementwise: tanh, 100,000",
    "elementwise: gelu, 100,000",
    "elementwise: a > 0.5, 100,000",
    "broadcast and strides: (1000, 1) * (1000)",
    "broadcast and strides: t().contiguous(), 1000 x 1000",
    "random: randn",
    "random: dropout",
    "reduction: sum, 1,000,000",
    "reduction: sum(0)",
    "reduction: softmax(1)",
    "sort and scan: sort, 100,000",
    "sort and scan: cumsum(1)",
    "indexing: a[i], rows of 64",
    "indexing: a[mask]",
    "linear algebra: 64 x 64 @ 64 x 64",
    "linear algebra: 256 x 256 @ 256 x 256",
    "linear algebra: 128 x 512 @ 512 x 10",
    "convolution: 64x1x28x28 -> 10, 5x5, backward",
    "convolution: 8x64x56x56 -> 64, 3x3",
    "normalisation and pooling: batch_norm 64x32x14x14, backward",
    "normalisation and pooling: layer_norm 512x768, backward",
    "recurrent: LSTM 35x32, 128, training",
    "attention: 4x8x256x64, causal, backward",
    "losses: cross_entropy 768x65",
    "optimizers: Adam, 234,634 parameters",
    "programs: demonstration, training step of 64",
    "programs: perceptron 784-256-128-10, training step of 128",
    "programs: REINFORCE, an episode of 50 steps",
)


def product(np):
    """The yardstick of cases without a twin."""
    a = np.random.rand(256, 256).astype("f")
    return lambda: a @ a


def seconds(f, n):
    start = time.perf_counter()
    for _ in range(n):
        f()
    return (time.perf_counter() - start) / n


def quotient(case, rounds=7):
    """The yardstick's best time over the case's best time, taken in turns."""
    mine, yard = case.make(flambeau), (case.numpy or product)(np)
    best = []
    for f in (mine, yard):
        f()
        best.append((max(1, int(0.01 / max(seconds(f, 3), 1e-8))), float("inf")))
    for _ in range(rounds):
        best = [(n, min(t, seconds(f, n))) for f, (n, t) in zip((mine, yard), best)]
    return best[1][1] / best[0][1]


def main():
    """Command line."""
    ap = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    ap.add_argument("--record", action="store_true", help="write new floors")
    args = ap.parse_args()
    flambeau.set_num_threads(1)
    cases = {c.key: c for c in CASES}
    if args.record:
        floors = {}
        for key in QUICK:
            floors[key] = float(f"{SHARE * quotient(cases[key]):.3g}")
            print(f"{key:65} floor {floors[key]:.3g}", flush=True)
        FLOORS.write_text(json.dumps(floors, indent=1) + "\n")
        return
    floors = json.loads(FLOORS.read_text())
    if set(floors) != set(QUICK):
        sys.exit("floors.json and QUICK name different cases: record the floors anew")
    failed = []
    for key in QUICK:
        values = []
        while len(values) < TRIES and (not values or max(values) < floors[key]):
            values.append(quotient(cases[key]))
        short = max(values) < floors[key]
        print(f"{key:65} {max(values):8.3g}  floor {floors[key]:.3g}{'  SLOWER' * short}")
        failed += [key] * short
    if failed:
        sys.exit(f"{len(failed)} of {len(QUICK)} cases are slower than their floors")


if __name__ == "__main__":
    main()
