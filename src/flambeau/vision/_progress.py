"""A progress bar on stderr: tqdm's where it is installed, else a small one of our own."""

from __future__ import annotations

import sys
import time


def progress_bar(total, label, unit="B"):
    """Return an object with update(n) and close(); total may be None when it is not known."""
    try:
        from tqdm import tqdm
    except ImportError:
        return PlainBar(total, label, unit)
    return tqdm(total=total, desc=label, unit=unit, unit_scale=unit == "B", leave=True)


def _amount(n, unit):
    if unit != "B":
        return f"{n:,} {unit}"
    return f"{n / 1e6:.1f} MB" if n >= 1e6 else f"{n / 1e3:.0f} kB"


class PlainBar:
    """One line that is rewritten at most ten times a second, and only on a terminal."""

    def __init__(self, total, label, unit="B", out=None):
        self.total, self.label, self.unit, self.out = total, label, unit, out or sys.stderr
        self.done, self.start, self.shown = 0, time.monotonic(), 0.0

    def update(self, n):
        """Count n more; n may be negative when a transfer starts again."""
        self.done += n
        now = time.monotonic()
        if now - self.shown >= 0.1 and self.out.isatty():
            self.shown = now
            self.out.write("\r" + self.line())
            self.out.flush()

    def line(self):
        """Return the line as it stands now (str)."""
        speed = self.done / max(time.monotonic() - self.start, 1e-9)
        text = f"{self.label}: {_amount(self.done, self.unit)}"
        if self.total:
            filled = min(20, 20 * self.done // self.total)
            left = max(0, self.total - self.done) / max(speed, 1e-9)
            bar = "#" * filled + "." * (20 - filled)
            text = f"{text} of {_amount(self.total, self.unit)} [{bar}] {left:.0f} s left"
        return text.ljust(78)

    def close(self):
        """Write the last state and end the line."""
        self.out.write(("\r" if self.out.isatty() else "") + self.line().rstrip() + "\n")
        self.out.flush()
