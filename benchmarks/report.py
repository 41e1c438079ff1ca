"""The text of RESULTS.md, from measured rows."""

from __future__ import annotations

import importlib.metadata
import math
import os
import pathlib
import platform
import re
import subprocess

from cases.base import ROOT
from cases.numpy_ground import G as GROUND
from reasons import REASONS, SHORT


def show(seconds):
    """Seconds in a fitting unit, three digits."""
    if seconds is None:
        return ""
    for unit, scale in (("s", 1), ("ms", 1e3), ("us", 1e6)):
        if seconds * scale >= 1:
            return f"{seconds * scale:.3g} {unit}"
    return f"{seconds * 1e9:.0f} ns"


def geometric_mean(values):
    values = [v for v in values if v]
    return math.exp(sum(map(math.log, values)) / len(values)) if values else None


def number(v):
    return "" if v is None else f"{v:.2f}"


def machine():
    """CPU model, cores, versions and commit, a line each."""
    model = platform.processor() or platform.machine()
    info = pathlib.Path("/proc/cpuinfo")
    flags = set()
    if info.exists():
        text = info.read_text()
        m = re.search(r"model name\s*:\s*(.*)", text)
        model = m.group(1) if m else model
        flags = set(re.search(r"flags\s*:\s*(.*)", text).group(1).split())
    isa = next((i for i in ("avx512f", "avx2") if i in flags), "")
    names = [p for p in ("torch", "numpy", "jax") if _version(p)]
    commit = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, capture_output=True, text=True
    ).stdout.strip()
    return [
        f"{model}, {os.cpu_count()} cores, {isa}, {platform.system()}",
        f"Python {platform.python_version()}, " + ", ".join(f"{p} {_version(p)}" for p in names),
        f"Flambeau at commit {commit}",
    ]


def _version(package):
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def summary(results):
    """[(group, {threads: (mean ratio, slower, cases)}, {threads: NumPy's mean ratio})]"""
    first = next(iter(results.values()))
    groups = list(dict.fromkeys(r.case.group for r in first if r.case.group != GROUND))
    picks = [(g, lambda r, g=g: r.case.group == g) for g in groups]
    picks += [
        ("**operands of 64 MB and more**", lambda r: r.case.large),
        ("**all**", lambda r: r.case.group != GROUND),
    ]
    out = []
    for label, pick in picks:
        torch, numpy = {}, {}
        for threads, rows in results.items():
            mine = [r for r in rows if pick(r)]
            ratios = [r.ratio("torch") for r in mine if r.ratio("torch")]
            torch[threads] = geometric_mean(ratios), sum(v < 1 for v in ratios), len(ratios)
            numpy[threads] = geometric_mean([r.ratio("numpy") for r in mine])
        if any(v[2] for v in torch.values()):
            out.append((label, torch, numpy))
    return out


def _plural(threads):
    return f"{threads} thread" + "s" * (threads > 1)


def _summary_text(results):
    threads = list(results)
    head = [f"PyTorch / Flambeau, {_plural(t)} | slower" for t in threads]
    lines = ["| group | " + " | ".join(head) + " | NumPy / Flambeau |"]
    lines.append("|---" * (2 * len(threads) + 2) + "|")
    for label, torch, numpy in summary(results):
        cells = [f"{number(torch[t][0])} | {torch[t][1]} of {torch[t][2]}" for t in threads]
        lines.append(f"| {label} | {' | '.join(cells)} | {number(numpy[threads[-1]])} |")
    return lines


def _slower_text(results):
    """Every case that a peer wins, with the reason."""
    lines = [
        "| case | peer | " + " | ".join(_plural(t) for t in results) + " | why, and what next |"
    ]
    lines.append("|---" * (len(results) + 3) + "|")
    for rows in zip(*results.values()):
        for peer in ("torch", "numpy", "jax"):
            ratios = [r.ratio(peer) for r in rows]
            if peer == "numpy" and rows[0].case.torch:
                continue
            if any(v is not None and v < 1 for v in ratios):
                key = rows[0].case.key
                cells = " | ".join(number(v) for v in ratios)
                lines.append(f"| {key} | {peer} | {cells} | {REASONS.get(key, '')} |")
    return [*lines, "", *(f"- {text}" for text in SHORT)]


def _ground_text(results):
    """NumPy's time over Flambeau's: an expression a row, a size a column."""
    lines = []
    for threads, rows in results.items():
        mine = [r for r in rows if r.case.group == GROUND and r.ratio("numpy")]
        if not mine:
            continue
        ratios = [r.ratio("numpy") for r in mine]
        lines += [
            "",
            f"{_plural(threads)}: geometric mean {geometric_mean(ratios):.2f}, "
            f"slower {sum(v < 1 for v in ratios)} of {len(ratios)}.",
            "",
        ]
        for wide in (False, True):
            part = [r for r in mine if (" x " in r.case.name.rsplit(", ", 1)[1]) == wide]
            sizes = list(dict.fromkeys(r.case.name.rsplit(", ", 1)[1] for r in part))
            table = {}
            for r in part:
                name, size = r.case.name.rsplit(", ", 1)
                table.setdefault(name, {})[size] = number(r.ratio("numpy"))
            lines += ["| expression | " + " | ".join(sizes) + " |", "|---" * (len(sizes) + 1) + "|"]
            for name, cells in table.items():
                lines.append(f"| {name} | " + " | ".join(cells.get(s, "") for s in sizes) + " |")
            lines.append("")
    return lines


def _cases_text(results):
    threads = list(results)
    lines = [
        "| case | " + " | ".join(f"Flambeau, {t} | PyTorch, {t} | ratio, {t}" for t in threads)
    ]
    lines[0] += " | NumPy / Flambeau | rate |"
    lines.append("|---" * (3 * len(threads) + 3) + "|")
    for rows in zip(*results.values()):
        case, last = rows[0].case, rows[-1]
        if case.group == GROUND:
            continue
        cells = []
        for r in rows:
            torch = show(r.best("torch")) or r.errors.get("torch", "")
            mine = show(r.best("flambeau")) or r.errors.get("flambeau", "")
            cells.append(f"{mine} | {torch} | {number(r.ratio('torch'))}")
        rate = ""
        if last.best("flambeau") and case.flops:
            rate = f"{case.flops / last.best('flambeau') / 1e9:.0f} GFLOP/s"
        elif last.best("flambeau") and case.bytes:
            rate = f"{case.bytes / last.best('flambeau') / 1e9:.0f} GB/s"
        row = f"| {case.key} | {' | '.join(cells)} | {number(last.ratio('numpy'))} | {rate} |"
        lines.append(row)
    return lines


def _jax_text(results):
    lines = ["| program | " + " | ".join(f"Flambeau, {t} | JAX, {t}" for t in results) + " |"]
    lines.append("|---" * (2 * len(results) + 1) + "|")
    for rows in zip(*results.values()):
        if rows[0].best("jax"):
            cells = [f"{show(r.best('flambeau'))} | {show(r.best('jax'))}" for r in rows]
            lines.append(f"| {rows[0].case.name} | {' | '.join(cells)} |")
    return lines


def _startup_text(rows, wheel):
    lines = ["| | Flambeau | PyTorch |", "|---|---|---|"]
    for label, mine, theirs, unit in rows:
        text = show if unit == "s" else lambda v: f"{v:.0f} MB"
        lines.append(f"| {label} | {text(mine)} | {text(theirs)} |")
    if wheel is not None:
        lines.append(f"| wheel | {wheel:.1f} MB | |")
    return lines


def report(results, startup, wheel):
    """The whole page; results is {threads: [Row]}."""
    page = ["# Benchmarks", ""]
    page += [
        "Flambeau against PyTorch in eager mode, NumPy and JAX: every library in a process of its",
        "own, in turns within each case. A ratio above 1 means that Flambeau is faster; ratios are",
        "medians over the turns, times are the best turn. Made by `make bench`.",
        "",
        "The host of a virtual machine moves its CPUs about. Turns at two threads that were made",
        "while both lay on one core (each then computes at half speed) or on cores that share no",
        "cache (a line takes six times as long from one to the other) were made again; see",
        "`placement.py`.",
        "",
    ]
    page += [f"- {line}" for line in machine()]
    for title, lines in (
        ("Summary", _summary_text(results)),
        ("Start-up and memory", _startup_text(startup, wheel)),
        ("Against JAX's compiled steps", _jax_text(results)),
        ("Where a peer is faster", _slower_text(results)),
        ("NumPy's ground: NumPy / Flambeau", _ground_text(results)),
        ("All cases", _cases_text(results)),
    ):
        page += ["", f"## {title}", "", *lines]
    return re.sub(r"\n{3,}", "\n\n", "\n".join(page)) + "\n"
