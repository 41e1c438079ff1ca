"""One side of the benchmark: a process that sets up and times cases on request over its pipes."""

import importlib
import json
import sys
import time


def main():
    """Reads ["make", case] or ["time", repeats] a line; answers each with one line of JSON."""
    name, threads = sys.argv[1], int(sys.argv[2])
    reply, sys.stdout = sys.stdout, sys.stderr
    from cases import CASES

    m = importlib.import_module(name)
    if name != "numpy":
        for sub in ("nn", "nn.functional", "optim", "utils.data"):
            importlib.import_module(f"{name}.{sub}")
        m.set_num_threads(threads)
    run = None
    for line in sys.stdin:
        what, value = json.loads(line)
        try:
            if what == "make":
                run = None
                c = CASES[value]
                run = (c.numpy if name == "numpy" else c.make)(m)
                run()
                answer = 0.0
            else:
                start = time.perf_counter()
                for _ in range(value):
                    run()
                answer = (time.perf_counter() - start) / value
        except Exception as e:
            answer = f"{type(e).__name__}: {e}"[:200]
        print(json.dumps(answer), file=reply, flush=True)


if __name__ == "__main__":
    main()
