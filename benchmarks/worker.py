"""One side of the benchmark: a process that sets up and times cases on request over its pipes."""

import gc
import importlib
import json
import os
import sys
import time

# Seconds a case runs before its time is taken: threads that were woken on one CPU lie apart then.
WARM = 0.02


def load(name, threads):
    """The library, with as many threads."""
    if name == "jax" and threads == 1:
        os.sched_setaffinity(0, {0})  # XLA has no reliable switch for the number of threads
    m = importlib.import_module(name)
    if name in ("flambeau", "torch"):
        for sub in ("nn", "nn.functional", "optim", "utils.data"):
            importlib.import_module(f"{name}.{sub}")
        m.set_num_threads(threads)
    return m


def main():
    """Reads ["make", case], ["time", repeats] or ["drop", 0] a line; answers each with JSON."""
    name, threads = sys.argv[1], int(sys.argv[2])
    reply, sys.stdout = sys.stdout, sys.stderr
    from cases import CASES

    m, run = load(name, threads), None
    for line in sys.stdin:
        what, value = json.loads(line)
        answer = 0.0
        try:
            if what == "make":
                c = CASES[value]
                run = getattr(c, name if name in ("numpy", "jax") else "make")(m)
                run()
            elif what == "time":
                warm = time.perf_counter() + WARM if value > 1 else 0.0
                while time.perf_counter() < warm:
                    run()
                start = time.perf_counter()
                for _ in range(value):
                    run()
                answer = (time.perf_counter() - start) / value
            else:
                run = None
                gc.collect()
        except Exception as e:
            answer = f"{type(e).__name__}: {e}"[:200]
        print(json.dumps(answer), file=reply, flush=True)


if __name__ == "__main__":
    main()
