"""Times one case in a process for each library, turn by turn."""

from __future__ import annotations

import json
import os
import pathlib
import statistics
import subprocess
import sys
import time
from dataclasses import dataclass, field

from cases import CASES, Case

HERE = pathlib.Path(__file__).resolve().parent
BATCH = 0.02  # seconds that one measurement of one side should take
SETTLE = 0.1  # seconds between turns: a side's threads may spin on (OpenBLAS: up to 100 ms)
LONGER = 3  # times as many rounds where two libraries are about as fast
SLOW = 0.2  # seconds a run from which three rounds are enough
LIBRARIES = ("flambeau", "torch", "numpy", "jax")


@dataclass
class Row:
    """What one case took: seconds a call of each round, by library; or why a library could not."""

    case: Case
    times: dict[str, list[float]] = field(default_factory=dict)
    errors: dict[str, str] = field(default_factory=dict)

    def best(self, library):
        return min(self.times[library]) if library in self.times else None

    def ratio(self, other):
        """How many times faster Flambeau is: the median over the rounds; None if not measured."""
        mine, theirs = self.times.get("flambeau"), self.times.get(other)
        return statistics.median(b / a for a, b in zip(mine, theirs)) if mine and theirs else None

    def near_level(self):
        """Whether a peer's ratio is so near 1 that a few rounds cannot tell which side it is on."""
        ratios = [self.ratio(m) for m in self.times if m != "flambeau"]
        return any(r is not None and 0.6 < r < 1.6 for r in ratios)


class Side:
    """A worker process with one library loaded; it runs only while it is asked something."""

    def __init__(self, module, threads):
        n = str(threads)
        env = dict(
            os.environ,
            FLAMBEAU_NUM_THREADS=n,
            OMP_NUM_THREADS=n,
            OPENBLAS_NUM_THREADS=n,
            MKL_NUM_THREADS=n,
        )
        self.module = module
        self.threads = threads
        self.proc = subprocess.Popen(
            [sys.executable, str(HERE / "worker.py"), module, n],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=env,
        )

    def move(self, cpu):
        """To one of the CPUs: beside other guests of a machine they are not equally fast."""
        # JAX stays where its worker was started: its own threads would not come along.
        if self.threads == 1 and self.module != "jax" and hasattr(os, "sched_setaffinity"):
            cpus = sorted(os.sched_getaffinity(0))
            os.sched_setaffinity(self.proc.pid, {cpus[cpu % len(cpus)]})

    def ask(self, what, value):
        """Seconds a call, or the text of what went wrong."""
        self.proc.stdin.write(json.dumps([what, value]) + "\n")
        self.proc.stdin.flush()
        line = self.proc.stdout.readline()
        if not line:
            raise RuntimeError(f"the {self.module} worker died")
        return json.loads(line)

    def close(self):
        self.proc.stdin.close()
        self.proc.wait()


def takes_part(case, library):
    """Whether the case has a program for the library."""
    if library == "flambeau":
        return True
    return bool(case.torch if library == "torch" else getattr(case, library))


def measure(index, sides, rounds, turn):
    """The Row of a case. Every round times each side, in alternating order; rounds are added where
    the ratio is near 1. turn(run) calls run() where and when it can be measured."""
    row, ready, counts = Row(CASES[index]), [], {}
    for s in sides:
        if not takes_part(row.case, s.module):
            continue
        answer = s.ask("make", index)
        if isinstance(answer, str):
            row.errors[s.module] = answer
        else:
            ready.append(s)
    slowest = 0.0
    for s in ready:
        once = s.ask("time", 1 if row.case.long else 3)
        slowest = max(slowest, once)
        counts[s] = 1 if row.case.long else max(1, min(20_000, int(BATCH / max(once, 1e-8))))
    planned = min(rounds, 3) if slowest > SLOW else rounds
    for r in range(LONGER * planned):
        if r == planned and not row.near_level():
            break
        for s in ready if r % 2 == 0 else ready[::-1]:
            s.move(r)
            time.sleep(SETTLE)
            taken = turn(lambda s=s: s.ask("time", counts[s]))
            row.times.setdefault(s.module, []).append(taken)
    for s in ready:
        s.ask("drop", 0)
    return row
