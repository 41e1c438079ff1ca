"""Times Flambeau against PyTorch, NumPy and JAX, turn by turn, and writes benchmarks/RESULTS.md."""

from __future__ import annotations

import argparse
import importlib.util
import os
import pathlib
import re

from cases import CASES
from measure import LIBRARIES, Side, measure
from placement import Placement
from probes import startup_table, wheel_size
from report import number, report, show, summary


def run_cases(indices, threads, rounds):
    """The rows of the cases, printed as they come."""
    libraries = [m for m in LIBRARIES if importlib.util.find_spec(m)]
    sides = [Side(m, threads) for m in libraries]
    placement = Placement() if threads > 1 else None
    rows = []
    for i in indices:
        row = measure(i, sides, rounds, placement.turn if placement else lambda run: run())
        rows.append(row)
        times = "  ".join(f"{m} {show(row.best(m))}" for m in row.times)
        ratios = " ".join(number(row.ratio(m)) for m in row.times if m != "flambeau")
        print(f"{row.case.key:70} {ratios:>10}   {times} {row.errors or ''}", flush=True)
    for s in sides:
        s.close()
    if placement:
        print(f"turns repeated: {placement.repeated}, in vain: {placement.given_up}")
    return rows


def main():
    """Command line."""
    ap = argparse.ArgumentParser(description=__doc__)
    ap.add_argument("--only", default="", help="regular expression over 'group: name'")
    ap.add_argument("--threads", default=f"1,{os.cpu_count() or 1}", help="e.g. 1,2")
    ap.add_argument("--rounds", type=int, default=7)
    ap.add_argument("--write", help="file to write the tables to")
    args = ap.parse_args()
    chosen = [i for i, c in enumerate(CASES) if re.search(args.only, c.key)]
    results = {}
    for threads in dict.fromkeys(int(t) for t in args.threads.split(",")):
        print(f"\n{threads} thread(s)", flush=True)
        results[threads] = run_cases(chosen, threads, args.rounds)
    print()
    for label, torch, numpy in summary(results):
        for t, (mean, slow, n) in torch.items():
            beside = f"NumPy {number(numpy[t])}" if numpy[t] else ""
            print(f"{label:32} {t} thread(s) {number(mean):>6}x  slower: {slow} of {n}  {beside}")
    if args.write:
        pathlib.Path(args.write).write_text(report(results, startup_table(), wheel_size()))


if __name__ == "__main__":
    main()
