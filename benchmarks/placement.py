"""Whether two virtual CPUs lie side by side: on cores of their own that share a cache.

The host of a virtual machine moves them about. On one core's two threads each computes at half its
speed; on cores that share no cache what one has written takes six times as long to reach the other.
Either lasts for seconds, and slows one library's turn and not the next one's.
"""

from __future__ import annotations

import ctypes
import math
import os
import pathlib
import platform
import shutil
import subprocess
import tempfile
import time

SOURCE = pathlib.Path(__file__).with_name("placement.cpp")
FAR = 2.5  # times the least round trip from which the CPUs share no cache
SHARED = 1.5  # times the least time of the arithmetic from which they share a core
TRIES = 40  # how often a turn is made again
PAUSE = 0.25  # seconds before it is


class Placement:
    """Measures where the CPUs are; `usual()` compares with the best that was seen."""

    def __init__(self):
        two = hasattr(os, "sched_getaffinity") and len(os.sched_getaffinity(0)) == 2
        self.probe = self.library() if two and platform.machine() == "x86_64" else None
        self.trip = self.arithmetic = math.inf
        for _ in range(40 if self.probe else 0):
            self.usual()
            time.sleep(0.02)
        self.repeated = self.given_up = 0

    @staticmethod
    def library():
        compiler = shutil.which("c++")
        if compiler is None:
            return None
        with tempfile.TemporaryDirectory() as folder:
            path = pathlib.Path(folder) / "placement.so"
            subprocess.run(
                [compiler, "-std=c++17", "-O2", "-shared", "-fPIC", "-pthread", SOURCE, "-o", path],
                check=True,
            )
            return ctypes.CDLL(str(path)).placement

    def usual(self):
        """Whether the CPUs lie as they do at best; True where that cannot be told."""
        if self.probe is None:
            return True
        result = (ctypes.c_double * 2)()
        self.probe(*sorted(os.sched_getaffinity(0)), result)
        trip, arithmetic = result
        self.arithmetic = min(self.arithmetic, arithmetic)
        if arithmetic > SHARED * self.arithmetic:
            return False
        self.trip = min(self.trip, trip)
        return trip < FAR * self.trip

    def turn(self, run):
        """run(), again while the CPUs did not lie side by side before and after it."""
        for _ in range(TRIES):
            if self.usual():
                value = run()
                if self.usual():
                    return value
            self.repeated += 1
            time.sleep(PAUSE)
        self.given_up += 1
        return run()
