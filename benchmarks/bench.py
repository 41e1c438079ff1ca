"""Times Flambeau against PyTorch and NumPy, turn by turn, and writes benchmarks/RESULTS.md."""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import math
import os
import pathlib
import platform
import re
import statistics
import subprocess
import sys
import tempfile
import time

from cases import CASES, ROOT

HERE = pathlib.Path(__file__).resolve().parent
BATCH = 0.02  # seconds that one measurement of one side should take
SETTLE = 0.01  # seconds between turns: threads of the side before may still be spinning


class Side:
    """A worker process with one library loaded."""

    def __init__(self, module, threads):
        env = dict(
            os.environ,
            OMP_NUM_THREADS=str(threads),
            OPENBLAS_NUM_THREADS=str(threads),
            MKL_NUM_THREADS=str(threads),
        )
        self.module = module
        self.proc = subprocess.Popen(
            [sys.executable, str(HERE / "worker.py"), module, str(threads)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=env,
        )

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


def measure(index, sides, rounds):
    """{module: [seconds a call of each round]} and {module: error}."""
    case, times, errors, ready = CASES[index], {}, {}, []
    for s in sides:
        if s.module == "numpy" and case.numpy is None:
            continue
        answer = s.ask("make", index)
        if isinstance(answer, str):
            errors[s.module] = answer
        else:
            ready.append(s)
    counts = {}
    for s in ready:
        if case.long:
            counts[s] = 1
            continue
        once = s.ask("time", 3)
        counts[s] = max(1, min(20_000, int(BATCH / max(once, 1e-8))))
    for r in range(2 if case.long else rounds):
        for s in ready if r % 2 == 0 else ready[::-1]:
            time.sleep(SETTLE)
            times.setdefault(s.module, []).append(s.ask("time", counts[s]))
    return times, errors


def ratio(times, other):
    """How many times faster Flambeau is: the median over the rounds."""
    if "flambeau" not in times or other not in times:
        return None
    return statistics.median(b / a for a, b in zip(times["flambeau"], times[other]))


def show(seconds):
    for unit, scale in (("s", 1), ("ms", 1e3), ("us", 1e6)):
        if seconds * scale >= 1:
            return f"{seconds * scale:.3g} {unit}"
    return f"{seconds * 1e9:.0f} ns"


def geometric_mean(values):
    return math.exp(sum(map(math.log, values)) / len(values)) if values else float("nan")


def machine():
    """CPU model, cores and versions, in one line each."""
    model = platform.processor() or platform.machine()
    info = pathlib.Path("/proc/cpuinfo")
    if info.exists():
        m = re.search(r"model name\s*:\s*(.*)", info.read_text())
        model = m.group(1) if m else model
    versions = ", ".join(f"{p} {importlib.metadata.version(p)}" for p in ("torch", "numpy"))
    return [
        f"{model}, {os.cpu_count()} cores, {platform.system()}",
        f"Python {platform.python_version()}, {versions}",
    ]


def startup(module):
    """(best import time in seconds, peak memory in MB after import)."""
    code = (
        f"import time; t = time.perf_counter(); import {module}; t = time.perf_counter() - t\n"
        "import resource; print(t, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)"
    )
    runs = [
        tuple(map(float, subprocess.check_output([sys.executable, "-c", code], text=True).split()))
        for _ in range(5)
    ]
    return min(r[0] for r in runs), min(r[1] for r in runs)


def peak_memory(module):
    """Peak memory in MB of ten training steps of the demonstration."""
    code = (
        "import sys, importlib, resource\nsys.path.insert(0, sys.argv[1])\nimport cases\n"
        "m = importlib.import_module(sys.argv[2])\n"
        "for s in ('nn', 'optim'): importlib.import_module(sys.argv[2] + '.' + s)\n"
        "run = cases.demo_step(m)\nfor _ in range(10): run()\n"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)"
    )
    return float(
        subprocess.check_output([sys.executable, "-c", code, str(HERE), module], text=True)
    )


def wheel_size():
    """Megabytes of Flambeau's wheel, built into a temporary folder; None if that fails."""
    with tempfile.TemporaryDirectory() as d:
        done = subprocess.run(
            [
                sys.executable,
                "-m",
                "pip",
                "wheel",
                "--quiet",
                "--no-deps",
                "--no-build-isolation",
                "-w",
                d,
                str(ROOT),
            ],
            capture_output=True,
        )
        files = list(pathlib.Path(d).glob("*.whl"))
        return files[0].stat().st_size / 1e6 if done.returncode == 0 and files else None


def run_cases(indices, threads, rounds):
    sides = [Side(m, threads) for m in ("flambeau", "torch", "numpy")]
    rows = []
    for i in indices:
        times, errors = measure(i, sides, rounds)
        rows.append((CASES[i], times, errors))
        c, r = CASES[i], ratio(times, "torch")
        best = {m: show(min(t)) for m, t in times.items()}
        print(f"{c.group:12} {c.name:45} {best} " + (f"{r:.2f}x" if r else str(errors)), flush=True)
    for s in sides:
        s.close()
    return rows


def summary(rows):
    """[(group, geometric mean against PyTorch, against NumPy, slower than PyTorch, cases)]"""
    out = []
    for group in dict.fromkeys(c.group for c, _, _ in rows):
        mine = [(ratio(t, "torch"), ratio(t, "numpy")) for c, t, _ in rows if c.group == group]
        a, b = [r[0] for r in mine if r[0]], [r[1] for r in mine if r[1]]
        out.append((group, geometric_mean(a), geometric_mean(b), sum(r < 1 for r in a), len(a)))
    return out


def report(rows, threads):
    """The text of RESULTS.md."""
    lines = [
        "# Benchmarks",
        "",
        "Flambeau against PyTorch and NumPy, in turns within each case; a ratio above 1 "
        "means that Flambeau is faster.",
        "Made by `make bench`.",
        "",
    ]
    lines += [f"- {line}" for line in machine()] + [f"- {threads} threads each", ""]
    lines += [
        "| group | PyTorch / Flambeau | NumPy / Flambeau | slower than PyTorch |",
        "|---|---|---|---|",
    ]
    number = lambda v: "" if v is None or math.isnan(v) else f"{v:.2f}"
    for g, a, b, slow, n in summary(rows):
        lines.append(f"| {g} | {number(a)} | {number(b)} | {slow} of {n} |")
    lines += ["", "| | Flambeau | PyTorch |", "|---|---|---|"]
    (ti, mi), (tt, mt) = startup("flambeau"), startup("torch")
    peaks = [peak_memory(m) for m in ("flambeau", "torch")]
    lines += [
        f"| import | {show(ti)} | {show(tt)} |",
        f"| memory after import | {mi:.0f} MB | {mt:.0f} MB |",
        f"| peak memory, demonstration | {peaks[0]:.0f} MB | {peaks[1]:.0f} MB |",
    ]
    size = wheel_size()
    if size:
        lines.append(f"| wheel | {size:.1f} MB | |")
    lines += [
        "",
        "| case | Flambeau | PyTorch | NumPy | PyTorch / Flambeau |",
        "|---|---|---|---|---|",
    ]
    for c, t, errors in rows:
        cells = [
            show(min(t[m])) if m in t else errors.get(m, "") for m in ("flambeau", "torch", "numpy")
        ]
        lines.append(
            f"| {c.group}: {c.name} | " + " | ".join(cells) + f" | {number(ratio(t, 'torch'))} |"
        )
    return "\n".join(lines) + "\n"


def main():
    """Command line."""
    ap = argparse.ArgumentParser(description=__doc__)
    ap.add_argument("--quick", action="store_true", help="the short cases, few rounds")
    ap.add_argument("--only", default="", help="regular expression over 'group name'")
    ap.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    ap.add_argument("--rounds", type=int, default=0)
    ap.add_argument("--write", help="file to write the tables to")
    args = ap.parse_args()
    rounds = args.rounds or (3 if args.quick else 9)
    chosen = [
        i
        for i, c in enumerate(CASES)
        if (c.quick or not args.quick) and re.search(args.only, f"{c.group} {c.name}")
    ]
    rows = run_cases(chosen, args.threads, rounds)
    print()
    for g, a, b, slow, n in summary(rows):
        print(f"{g:12} {a:6.2f}x PyTorch  {b:6.2f}x NumPy   slower than PyTorch: {slow} of {n}")
    if args.write:
        pathlib.Path(args.write).write_text(report(rows, args.threads))


if __name__ == "__main__":
    main()
