"""Jobs that may hang or crash, each in a forked process of its own; without fork, one after the other in this process."""

import faulthandler
import os
import sys
import warnings
from contextlib import redirect_stderr, redirect_stdout
from math import inf
from multiprocessing import get_all_start_methods, get_context
from multiprocessing.connection import wait
from time import perf_counter

THREADED = ("torch", "jax", "tensorflow")  # a fork of a process in which these have run may wait for ever
HUNG, ENDED = "a time limit", "the end of its process"


def cores():
    """How many processes are worth starting; 1 where there is no fork to rely on."""
    forks = "fork" in get_all_start_methods() and sys.platform != "darwin" and not any(name in sys.modules for name in THREADED)
    return len(os.sched_getaffinity(0)) if forks else 1


def results(work, jobs, workers, limit, deadline, grace=inf):
    """(job, work(job)) of each job that is begun before the deadline, as they end.

    A job that takes longer than `limit` seconds yields HUNG, and one that ends its process ENDED; `work` returns what can be
    pickled; what it raises is raised here. workers: 1 for this process alone, in which neither can be known. deadline: in seconds of perf_counter; grace: the
    seconds after it at which what still runs is given up.
    """
    if workers == 1:
        with open(os.devnull, "w", encoding="utf-8") as quiet, redirect_stdout(quiet), redirect_stderr(quiet):
            for job in jobs:
                if perf_counter() > deadline:
                    return
                yield job, work(job)
        return
    fork, waiting, running = get_context("fork"), list(reversed(jobs)), {}
    try:
        while running or (waiting and perf_counter() < deadline):
            while waiting and len(running) < workers and perf_counter() < deadline:
                job = waiting.pop()
                ours, theirs = fork.Pipe(duplex=False)
                process = fork.Process(target=_alone, args=(work, job, theirs), daemon=True)
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")  # of threads, which do nothing here
                    process.start()
                theirs.close()
                running[ours] = job, process, perf_counter()
            ready = wait(list(running), timeout=0.5)
            late = [pipe for pipe, (_, _, began) in running.items() if pipe not in ready and perf_counter() - began > limit]
            for pipe in (*ready, *late):
                job, process, _ = running.pop(pipe)
                result = HUNG
                if pipe in ready:
                    try:
                        result = pipe.recv()
                    except EOFError:
                        result = ENDED
                process.kill()
                process.join()
                pipe.close()
                if isinstance(result, RuntimeError):
                    raise result
                yield job, result
            if perf_counter() > deadline + grace:
                return
    finally:
        for _, process, _ in running.values():
            process.kill()


def _alone(work, job, pipe):  # pragma: no cover (a process of its own)
    """In the child."""
    faulthandler.disable()
    sys.settrace(None)  # what a tracer of the parent counts here would be lost
    with open(os.devnull, "w", encoding="utf-8") as quiet, redirect_stdout(quiet), redirect_stderr(quiet):
        try:
            pipe.send(work(job))
        except Exception as error:
            pipe.send(RuntimeError(f"{type(error).__name__}: {error}"))
    os._exit(0)
