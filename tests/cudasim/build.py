"""Builds the stand-ins for libcuda.so.1 and libcublas.so.13 into build/cudasim."""

from __future__ import annotations

import fcntl
import hashlib
import os
import platform
import shlex
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
# no fused or reordered arithmetic: each PTX instruction rounds as the device does
FLAGS = "-std=c++20 -O3 -fPIC -fvisibility=hidden -fno-strict-aliasing -fwrapv -ffp-contract=off"


def _flags() -> list[str]:
    native = ["-march=native"] if platform.machine() in ("x86_64", "AMD64") else []
    return shlex.split(FLAGS) + native + ["-Wall", "-Wextra"]


def _compiler() -> list[str]:
    return shlex.split(os.environ.get("CXX") or "c++")


def _stamp(sources: list[Path]) -> str:
    """Changes with the sources, the flags and the machine's processor (-march=native)."""
    digest = hashlib.sha256(repr((_compiler(), _flags(), platform.platform())).encode())
    cpu = Path("/proc/cpuinfo")
    if cpu.exists():
        flags = [line for line in cpu.read_text().splitlines() if line.startswith("flags")]
        digest.update("".join(flags[:1]).encode())
    for path in sources:
        digest.update(path.name.encode() + path.read_bytes())
    return digest.hexdigest()


def _compile(source: Path, to: Path, key: str) -> Path:
    out = to / f"{source.stem}.{key[:16]}.o"
    if not out.exists():
        part = out.with_suffix(".part")
        command = [*_compiler(), *_flags(), "-c", str(source), "-o", str(part)]
        subprocess.run(command, check=True)
        for old in to.glob(f"{source.stem}.*.o"):
            old.unlink()
        part.rename(out)
    return out


def _link(name: str, objects: list[Path], directory: Path) -> None:
    part = directory / (name + ".part")
    soname = f"-Wl,-soname,{name}"
    command = [*_compiler(), "-shared", soname, *map(str, objects), "-o", str(part), "-ldl"]
    subprocess.run(command, check=True)
    part.rename(directory / name)


def build(directory: str | os.PathLike | None = None) -> Path:
    """Returns the directory that holds both libraries; builds them if a source has changed."""
    directory = Path(directory or ROOT / "build" / "cudasim")
    directory.mkdir(parents=True, exist_ok=True)
    sources = sorted(HERE.glob("*.cpp"))
    headers = sorted(HERE.glob("*.h"))
    stamp = directory / "stamp"
    with open(directory / "lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        wanted = _stamp(sources + headers)
        if stamp.exists() and stamp.read_text() == wanted:
            return directory
        keys = [_stamp([source, *headers]) for source in sources]
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            objects = list(pool.map(_compile, sources, [directory] * len(sources), keys))
        blas = [o for o in objects if o.name.startswith("cublas")]
        _link("libcuda.so.1", [o for o in objects if o not in blas], directory)
        if blas:
            _link("libcublas.so.13", blas, directory)
        stamp.write_text(wanted)
    return directory


if __name__ == "__main__":
    print(build(sys.argv[1] if len(sys.argv) > 1 else None))
