"""Start-up and memory: what a fresh process of each library takes."""

from __future__ import annotations

import io
import pathlib
import subprocess
import sys
import time
import zipfile

import flambeau
from cases.programs import STEPS

HERE = pathlib.Path(__file__).resolve().parent
PEAK = "import resource; print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)"


def _run(code, *args):
    """The last line that a fresh Python prints for the code, as numbers."""
    out = subprocess.check_output([sys.executable, "-c", code, *args], text=True)
    return [float(word) for word in out.splitlines()[-1].split()]


def import_time(module):
    """Best seconds of an import in a warm file cache."""
    code = f"import time; t = time.perf_counter(); import {module}\nprint(time.perf_counter() - t)"
    return min(_run(code)[0] for _ in range(5))


def first_gradient_time(module):
    """Best seconds of a Python process that computes one gradient and ends."""
    code = f"import {module} as m; x = m.ones(3, requires_grad=True); (x * x).sum().backward()"
    times = []
    for _ in range(5):
        start = time.perf_counter()
        subprocess.check_call([sys.executable, "-c", code])
        times.append(time.perf_counter() - start)
    return min(times)


def memory_after_import(module):
    """Resident megabytes of a process that has imported the library."""
    return _run(f"import {module}\n{PEAK}")[0]


def peak_memory(module, program):
    """Peak megabytes of a process that takes ten training steps, the library itself included."""
    code = (
        "import sys, importlib\nsys.path.insert(0, sys.argv[1])\n"
        "m = importlib.import_module(sys.argv[2])\n"
        "for s in ('nn', 'nn.functional', 'optim', 'utils.data', 'distributions'):\n"
        "    importlib.import_module(sys.argv[2] + '.' + s)\n"
        "from cases.programs import STEPS\n"
        "run = STEPS[sys.argv[3]](m)\nfor _ in range(10): run()\n" + PEAK
    )
    return _run(code, str(HERE), module, program)[0]


def wheel_size():
    """Megabytes of the installed package, compressed as in a wheel."""
    package = pathlib.Path(flambeau.__file__).parent
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as wheel:
        for file in package.rglob("*"):
            if file.is_file() and "__pycache__" not in file.parts:
                wheel.write(file)
    return packed.tell() / 1e6


def startup_table():
    """[(what, Flambeau's value, PyTorch's value, unit)]; smaller is better in each."""
    rows = []
    for label, probe, unit in (
        ("import", import_time, "s"),
        ("a process that computes one gradient", first_gradient_time, "s"),
        ("memory after import", memory_after_import, "MB"),
    ):
        rows.append((label, probe("flambeau"), probe("torch"), unit))
    for program in STEPS:
        values = [peak_memory(m, program) for m in ("flambeau", "torch")]
        rows.append((f"peak memory, {program}", *values, "MB"))
    return rows
