"""Crews: the workers of one loader, as processes or as threads, and how to talk to them."""

from __future__ import annotations

import os
import queue
import threading
import time
import weakref
from itertools import count

from . import transport
from .worker import (
    Failure,
    ThreadFailure,
    WorkerInfo,
    seed_everything,
    set_process_info,
    set_thread_info,
    work,
)

_CHECK_SECONDS = 5.0
_crews = count()


class ThreadCrew:
    """Workers as threads of this process: no copies, but one interpreter lock."""

    def __init__(self, loader, base_seed: int, fetcher_args: tuple):
        import copy

        n = loader.num_workers
        self._answers: queue.SimpleQueue = queue.SimpleQueue()
        self._tasks = [queue.SimpleQueue() for _ in range(n)]
        self._threads = []
        for i, tasks in enumerate(self._tasks):
            # A shallow copy, as a worker process has its own, so that setting attributes of the
            # worker's dataset stays with the worker.
            info = WorkerInfo(i, n, base_seed + i, copy.copy(loader.dataset))
            self._threads.append(threading.Thread(
                target=_thread_main, name=f"DataLoader worker {i}", daemon=True,
                args=(info, fetcher_args, loader.worker_init_fn, tasks, self._answers),
            ))
        for thread in self._threads:
            thread.start()
        self.close = weakref.finalize(self, _stop_threads, os.getpid(), self._threads, self._tasks)

    def send(self, worker: int, task: tuple) -> None:
        """Hand a task to a worker."""
        self._tasks[worker].put(task)

    def receive(self, timeout: float) -> list:
        """Wait for answers; RuntimeError after ``timeout`` seconds (0: wait for ever)."""
        try:
            return [self._answers.get(timeout=timeout or None)]
        except queue.Empty:
            raise RuntimeError(f"DataLoader timed out after {timeout} seconds") from None


def _thread_main(info, fetcher_args, init_fn, tasks, answers):
    set_thread_info(info)
    where = f"DataLoader worker thread {info.id}"
    work(info, fetcher_args, init_fn, where, ThreadFailure, tasks.get, answers.put)


def _stop_threads(owner: int, threads, tasks) -> None:
    if os.getpid() != owner:
        return
    for line in tasks:
        # Drop what is waiting, so that a thread ends after the batch at hand.
        while not line.empty():
            line.get()
        line.put(None)
    for thread in threads:
        if thread is not threading.current_thread():
            thread.join(1.0)  # one that hangs in user code ends, being a daemon, with Python


class ProcessCrew:
    """Workers as processes, each with a pipe of its own."""

    def __init__(self, loader, base_seed: int, fetcher_args: tuple):
        import multiprocessing
        import selectors
        import warnings

        import numpy  # noqa: F401  so that forked workers find it loaded

        context = loader.multiprocessing_context or multiprocessing.get_context()
        forked = context.get_start_method() == "fork"
        n = loader.num_workers
        self._prefix = f"flambeau-{os.getpid()}-{next(_crews)}-"
        self._pipes: list = []
        self._processes: list = []
        self.close = weakref.finalize(
            self, _stop_processes, os.getpid(), self._processes, self._pipes, self._prefix
        )
        self._selector = selectors.DefaultSelector()
        for i in range(n):
            ours, theirs = context.Pipe()
            self._pipes.append(ours)
            # A forked worker holds copies of our ends; it must close them to see us go.
            strangers = list(self._pipes) if forked else []
            process = context.Process(
                target=_process_main, daemon=True, name=f"DataLoader worker {i}",
                args=(theirs, strangers, i, n, base_seed + i, loader.dataset, fetcher_args,
                      loader.worker_init_fn, self._prefix, os.getpid()),
            )
            with warnings.catch_warnings():
                # The thread pool of the core survives a fork; Python 3.12 cannot know that.
                warnings.filterwarnings("ignore", ".*fork.*", DeprecationWarning)
                process.start()
            self._processes.append(process)
            theirs.close()
            self._selector.register(ours, selectors.EVENT_READ, i)

    def send(self, worker: int, task: tuple) -> None:
        """Hand a task to a worker; RuntimeError if it has died."""
        try:
            self._pipes[worker].send_bytes(transport.dump(task))
        except (BrokenPipeError, ConnectionResetError):
            raise self._death(worker) from None

    def receive(self, timeout: float) -> list:
        """Wait for answers; RuntimeError after ``timeout`` seconds (0: never) or on a death."""
        deadline = time.monotonic() + timeout if timeout else None
        while True:
            wait = _CHECK_SECONDS
            if deadline is not None:
                wait = min(wait, deadline - time.monotonic())
                if wait <= 0:
                    raise RuntimeError(f"DataLoader timed out after {timeout} seconds")
            answers = []
            for key, _ in self._selector.select(wait):
                try:
                    answers.append(transport.load(key.fileobj.recv_bytes()))
                except (EOFError, ConnectionResetError):
                    raise self._death(key.data) from None
            if answers:
                return answers
            for i, process in enumerate(self._processes):
                if not process.is_alive() and not self._pipes[i].poll():
                    raise self._death(i)

    def _death(self, worker: int) -> RuntimeError:
        process = self._processes[worker]
        process.join(1.0)
        code = process.exitcode
        if code is not None and code < 0:
            import signal

            try:
                name = signal.Signals(-code).name
            except ValueError:
                name = f"signal {-code}"
            how = f"is killed by signal: {name}"
            if name == "SIGKILL":
                how += " (often the system's out-of-memory killer)"
        else:
            how = f"exited unexpectedly with exit code {code}"
        return RuntimeError(f"DataLoader worker (pid {process.pid}) {how}")


def _process_main(pipe, strangers, id, num_workers, seed, dataset, fetcher_args, init_fn, prefix,
                  parent):
    import signal

    import flambeau

    for stranger in strangers:
        stranger.close()
    # Ctrl-C is for the parent, which then stops its workers.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    tasks: queue.SimpleQueue = queue.SimpleQueue()
    # A thread empties the pipe at all times: a full pipe both ways would be a deadlock.
    threading.Thread(target=_pump, args=(pipe, tasks), daemon=True).start()
    flambeau.set_num_threads(1)
    seed_everything(seed)
    info = WorkerInfo(id, num_workers, seed, dataset)
    set_process_info(info)

    def receive():
        while True:
            try:
                return tasks.get(timeout=_CHECK_SECONDS)
            except queue.Empty:
                if os.getppid() != parent:
                    return None

    where = f"DataLoader worker process {id}"

    def send(answer):
        try:
            data = transport.dump(answer, prefix)
        except Exception as error:
            failure = Failure(error, f"{where}, sending a batch to the main process")
            data = transport.dump((*answer[:2], "error", failure))
        pipe.send_bytes(data)

    try:
        work(info, fetcher_args, init_fn, where, Failure, receive, send)
    except (BrokenPipeError, ConnectionResetError):
        pass  # the parent has closed the loader: nobody waits for this batch


def _pump(pipe, tasks) -> None:
    task = ()
    while task is not None:
        try:
            task = transport.load(pipe.recv_bytes())
        except (EOFError, OSError):
            task = None
        tasks.put(task)
    # The loader is closed: allow the batch at hand a moment, then go in any case.
    time.sleep(0.5)
    os._exit(0)


def _stop_processes(owner: int, processes, pipes, prefix: str) -> None:
    if os.getpid() != owner:
        return
    for pipe in pipes:
        try:
            # Closing is not enough: workers of another loader may hold copies of this end.
            os.set_blocking(pipe.fileno(), False)
            pipe.send_bytes(transport.dump(None))
        except OSError:
            pass  # it has gone already, or is stuck: what follows ends it
        pipe.close()
    for act in (None, "terminate", "kill"):
        limit = time.monotonic() + 2.0
        for process in processes:
            if act is not None and process.is_alive():
                getattr(process, act)()
            process.join(max(0.0, limit - time.monotonic()))
    transport.sweep(prefix)
