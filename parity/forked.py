"""Runs jobs in forked children, so that a crash or a hang costs only the check it happened in."""

from __future__ import annotations

import json
import os
import pathlib
import signal
import tempfile
import time


def child(path, job, work, start):
    """Runs one job, one line of JSON a check; never returns."""
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, 1)
    os.dup2(null, 2)
    with open(path, "w") as f:

        def emit(index, **record):
            f.write(json.dumps(dict(i=index, **record), default=str) + "\n")
            f.flush()

        try:
            work(job, start, emit)
            emit(-1, st="end")
        except Exception as e:
            emit(-1, st="end", msg=f"harness: {type(e).__name__}: {e}"[:300])
    os._exit(0)


def records(path):
    """What a child wrote; its last line may be cut off."""
    out = []
    for line in pathlib.Path(path).read_text().splitlines() if os.path.exists(path) else []:
        try:
            out.append(json.loads(line))
        except ValueError:
            break
    return out


def run(jobs, work, processes=2, limit=60.0, restarts=4):
    """{job: its records}; `work(job, start, emit)` emits from check `start` on."""
    results = {j: [] for j in jobs}
    todo = [(j, 0, 0) for j in reversed(jobs)]
    live = {}
    with tempfile.TemporaryDirectory() as folder:
        while todo or live:
            while todo and len(live) < processes:
                job, start, tries = todo.pop()
                path = os.path.join(folder, f"{len(os.listdir(folder))}.jsonl")
                pathlib.Path(path).touch()
                pid = os.fork()
                if pid == 0:
                    child(path, job, work, start)
                live[pid] = (job, start, tries, path, time.monotonic())
            time.sleep(0.004)
            for pid, (job, start, tries, path, began) in list(live.items()):
                done, status = os.waitpid(pid, os.WNOHANG)
                late = not done and time.monotonic() - began > limit
                if not done and not late:
                    continue
                if late:
                    os.kill(pid, signal.SIGKILL)
                    os.waitpid(pid, 0)
                del live[pid]
                found = records(path)
                if found and found[-1]["i"] == -1:
                    results[job] += found[:-1]
                    continue
                at = max([r["i"] for r in found], default=start - 1) + 1
                what = "timeout" if late else "crash"
                results[job] += found + [dict(i=at, st=what, kind="?", msg=str(status))]
                if tries < restarts and not late:
                    todo.append((job, at + 1, tries + 1))
    return results
