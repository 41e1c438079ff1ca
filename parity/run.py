"""Compares Flambeau with PyTorch (operators, nn modules, optimizers); writes docs/parity.md."""

from __future__ import annotations

import os

for _v in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ.setdefault(_v, "1")  # set before NumPy and PyTorch start their pools

import argparse
import pathlib
import time
from collections import Counter

import torch

import forked
import modules
import ops
from convert import load

BAD = ("wrong", "raise", "missing", "crash", "timeout")


def summarise(results):
    """{key: (status, counts, first failures)}"""
    out = {}
    for k, rs in results.items():
        c = Counter(r["st"] for r in rs)
        total = sum(c.values()) - c["skip"]
        status = (
            "no samples"
            if not total
            else "pass"
            if c["ok"] == total
            else "missing"
            if c["missing"] == total
            else "partial"
            if c["ok"]
            else "fail"
        )
        first = [
            f"{r.get('kind')} {r.get('dt', '')} {r['st']}: {r.get('msg', '')}"
            for r in rs
            if r["st"] in BAD
        ]
        out[k] = (status, c["ok"], total, first)
    return out


def by_kind(results):
    """{kind of check: Counter of states}"""
    kinds = {}
    for rs in results.values():
        for r in rs:
            if r["st"] != "skip":
                name = " ".join(filter(None, (r.get("kind", "?"), r.get("dt", ""))))
                kinds.setdefault(name, Counter())[r["st"]] += 1
    return kinds


def page(title, results, lines):
    """Adds one section to the report."""
    s = summarise(results)
    states = Counter(v[0] for v in s.values())
    ok, total = sum(v[1] for v in s.values()), sum(v[2] for v in s.values())
    lines += [
        f"## {title}",
        "",
        f"{states['pass']} of {len(s)} pass every check; {ok:,} of {total:,} checks "
        f"({100 * ok / max(total, 1):.2f} %) agree.",
        "",
        "| kind | agree | of |",
        "|---|---|---|",
    ]
    for kind, c in sorted(by_kind(results).items()):
        lines.append(f"| {kind} | {c['ok']} | {sum(c.values())} |")
    lines.append("")
    for want in ("fail", "partial"):
        rows = [(k, v) for k, v in sorted(s.items()) if v[0] == want]
        if rows:
            lines += [f"### {want.capitalize()} ({len(rows)})", ""]
            lines += [
                f"- `{k}` {v[1]}/{v[2]}: {v[3][0] if v[3] else ''}".replace("<", "&lt;")
                for k, v in rows
            ]
            lines.append("")
    gone = [k for k, v in sorted(s.items()) if v[0] == "missing"]
    if gone:
        lines += [f"### Missing ({len(gone)})", "", ", ".join(f"`{k}`" for k in gone), ""]
    return f"{title}: {dict(states)}; checks {ok}/{total} ({100 * ok / max(total, 1):.2f} %)"


def main():
    """Command line."""
    ap = argparse.ArgumentParser(description=__doc__)
    ap.add_argument("--module", default="flambeau")
    ap.add_argument("--only", default="", help="regular expression over the names")
    ap.add_argument("--most", type=int, default=12, help="samples for each operator and dtype")
    ap.add_argument("--jobs", type=int, default=2)
    ap.add_argument("--limit", type=float, default=60, help="seconds for one operator")
    ap.add_argument("--parts", default="ops,modules,optimizers")
    ap.add_argument("--write", help="file to write the report to")
    args = ap.parse_args()
    torch.set_num_threads(1)
    other = load(args.module)
    if hasattr(other, "set_num_threads"):
        other.set_num_threads(1)
    lines = [
        "# Parity with PyTorch",
        "",
        f"Made by `make parity` with the samples that PyTorch "
        f"{torch.__version__.split('+')[0]} ships for its own tests: values, dtypes, shapes, "
        "method, "
        "in-place and `out=` forms, gradients, and the type of the error for bad input.",
        "",
    ]
    for part in args.parts.split(","):
        began = time.monotonic()
        if part == "ops":
            base = ops.database(args.only)
            work = lambda k, s, e, base=base: ops.checks(base[k], other, args.most)(s, e)
        else:
            base = (modules.module_jobs if part == "modules" else modules.optimizer_jobs)(args.only)
            work = lambda k, s, e, base=base: base[k](other, s, e)
        results = forked.run(list(base), work, args.jobs, args.limit)
        title = {"ops": "Operators", "modules": "Modules", "optimizers": "Optimizers"}[part]
        print(page(title, results, lines), f"{time.monotonic() - began:.0f} s", flush=True)
    if args.write:
        pathlib.Path(args.write).write_text("\n".join(lines))
    else:
        print("\n".join(line for line in lines if line.startswith(("- ", "###"))))


if __name__ == "__main__":
    main()
