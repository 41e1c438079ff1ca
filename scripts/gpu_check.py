"""The parts of gpu_check.sh that are Python: small runs, comparison with PyTorch, times, report."""

import argparse
import datetime
import os
import pathlib
import subprocess
import sys

import numpy as np

import flambeau as fb

ROOT = pathlib.Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "scripts"), str(ROOT / "tests")]


def small():
    """A little of everything, for the memory checkers, which slow kernels down a hundredfold."""
    fb.manual_seed(0)
    net = fb.nn.Sequential(
        fb.nn.Conv2d(1, 3, 3), fb.nn.BatchNorm2d(3), fb.nn.ReLU(), fb.nn.MaxPool2d(2),
        fb.nn.Flatten(), fb.nn.Linear(27, 16), fb.nn.LayerNorm(16), fb.nn.Dropout(0.1),
        fb.nn.Linear(16, 4),
    ).cuda()  # fmt: skip
    opt = fb.optim.Adam(net.parameters())
    x, y = fb.randn(5, 1, 9, 9).cuda(), fb.tensor([0, 1, 2, 3, 0]).cuda()
    for _ in range(2):
        opt.zero_grad()
        fb.nn.functional.cross_entropy(net(x[..., :8, :8]), y).backward()
        opt.step()
    a = fb.randn(33, 65, device="cuda")
    work = [
        a.t().contiguous(), a.sum(0), a.sum(1), a.max(1), a.softmax(1), a.cumsum(0), a.sort(1),
        a.topk(3), a[a > 0], a.nonzero(), a @ a.t(), fb.cat([a, a], 1), a.half() + 1,
        a.gather(1, a.argsort(1)), fb.rand(77, device="cuda"), fb.linalg.qr(a),
    ]  # fmt: skip
    fb.cuda.synchronize()
    print(f"ran {len(work)} operations and two training steps")


def compare():
    """Every op spec on random inputs beside PyTorch on the same GPU, in its own dtypes."""
    import torch

    from op_specs import REGISTRY, check
    from op_specs.base import replace

    bad, seen = [], 0
    for key, row in REGISTRY.items():
        function = torch
        for part in row.name.split("."):
            function = getattr(function, part, None)
        if row.fn is not None or function is None or "float32" not in row.dtypes:
            continue
        for sample in row.samples[:2]:
            arrays = check.draw(row, sample, "float32")
            results = []
            for lib in (fb, torch):

                def build(t, lib=lib, arrays=arrays):
                    return lib.tensor(arrays[id(t)]).to("cuda")

                args, kwargs = replace(sample.args, build), replace(sample.kwargs, build)
                call = row.function() if lib is fb else function
                try:
                    results.append(call(*args, **kwargs))
                except Exception as e:
                    results.append(e)
            ours, theirs = results
            if not hasattr(theirs, "cpu"):
                continue
            seen += 1
            if not hasattr(ours, "cpu"):
                bad.append(f"{key}: {ours!r:.100}")
                continue
            p, q = ours.detach().cpu().numpy(), theirs.detach().cpu().numpy()
            if p.dtype != q.dtype or not np.allclose(p, q, 1e-4, 1e-5, equal_nan=True):
                bad.append(f"{key} {sample}: they differ")
    print(f"{seen} calls compared with PyTorch {torch.__version__}, {len(bad)} differ")
    print("\n".join(bad))
    return 1 if bad else 0


def machine():
    """What the figures belong to."""
    p, v = fb.cuda.get_device_properties(), fb._C._cuda_versions()
    commit = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, capture_output=True, text=True
    )
    nvrtc = ".".join(map(str, v["nvrtc"]))
    return [
        f"- GPU: {p.name}, compute capability {p.major}.{p.minor}, {p.total_memory >> 20} MiB, "
        f"{p.multi_processor_count} multiprocessors",
        f"- driver for CUDA {v['driver'] / 1000:g} ({v['driver_path']})",
        f"- NVRTC {nvrtc} ({v['nvrtc_path']}), cuBLAS {v['cublas_path'] or 'none'}",
        f"- commit {commit.stdout.strip() or 'unknown'}, {datetime.date.today()}",
    ]


def report(path, logs):
    """One page from the logs of the steps."""
    lines = ["# Report of scripts/gpu_check.sh", "", *machine(), ""]
    if os.environ.get("FLAMBEAU_CUDA_LIBS"):
        lines += ["**A rehearsal on the simulated GPU: the times below say nothing.**", ""]
    lines += ["## Steps", ""]
    lines += ["| step | result | seconds | last line |", "|---|---|---|---|"]
    for entry in (logs / "steps").read_text().splitlines():
        name, code, seconds = entry.split()
        log = (logs / f"{name}.log").read_text(errors="replace").strip().splitlines() or ["-"]
        last = log[-1].replace("|", "/")[:90]
        lines.append(f"| {name} | {'ok' if code == '0' else 'exit ' + code} | {seconds} | {last} |")
    failed = [
        line
        for log in sorted(logs.glob("tests*.log"))
        for line in log.read_text(errors="replace").splitlines()
        if line.startswith(("FAILED", "ERROR"))
    ]
    if failed:
        lines += ["", "## Tests that failed", "", *(f"- `{f[:160]}`" for f in failed)]
    times = logs / "times.md"
    if times.exists():
        lines += ["", times.read_text().rstrip()]
    path.write_text("\n".join(lines) + "\n")


def main():
    """Runs what the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--small", action="store_true")
    parser.add_argument("--compare", action="store_true")
    parser.add_argument("--times", type=pathlib.Path)
    parser.add_argument("--tiny", action="store_true")
    parser.add_argument("--report", type=pathlib.Path)
    parser.add_argument("--logs", type=pathlib.Path)
    options = parser.parse_args()
    if options.small:
        small()
    if options.compare:
        return compare()
    if options.times:
        import gpu_times

        options.times.write_text(gpu_times.tables(options.tiny))
    if options.report:
        report(options.report, options.logs)
    return 0


if __name__ == "__main__":
    sys.exit(main())
