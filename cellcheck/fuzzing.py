"""Unbounded search: HypoFuzz on the same laws, headless, for a given time.

    python -m cellcheck.fuzzing [--seconds 600] [--workers 2] [PYTEST_ARGUMENTS, such as --cell my_rnn.py:MyRNN or -k gradients]

HypoFuzz runs no hook but those of collection, so this plugin takes out the laws that do not apply, and lets the others run as
they do under pytest: floating-point flags and warnings ignored, each example limited in time. What is found goes to the example
database (CELLCHECK_DATABASE, see database.py), from which plain pytest replays it.
"""

import argparse
import os
import shlex
import signal
import subprocess
import sys
import warnings
from contextlib import suppress
from functools import cache, wraps
from pathlib import Path
from time import monotonic
from types import SimpleNamespace

import numpy as np
import pytest

PLUGIN = ("-p", "cellcheck.fuzzing", "--hypothesis-profile", "fuzz")
HERE = Path(__file__).parent
OTHERS, GUESTS = (HERE, HERE.parent / "strategies", Path(np.__file__).parent), str(HERE / "meta" / "guests")
CLI = "from hypothesis.extra.cli import main; main(prog_name='hypothesis')"


def tune():
    """Let the branches of cells alone guide HypoFuzz, place each only once (ten times the examples a second), and do not explain."""
    from hypofuzz import coverage, hypofuzz

    theirs, place, shrinker = coverage.should_trace, coverage.CoverageCollector.trace_branch, hypofuzz.get_shrinker
    if hasattr(place, "placed"):
        return
    hypofuzz.get_shrinker = lambda law, **options: shrinker(law, **{**options, "explain": False})  # minutes; pytest explains
    others = tuple(f"{Path(folder).resolve()}{os.sep}" for folder in OTHERS)
    coverage.should_trace = cache(lambda file: theirs(file) and (file.startswith(GUESTS) or not file.startswith(others)))

    @cache
    def placed(*branch):
        seen = SimpleNamespace(branches=set())
        return place(seen, *branch), seen.branches

    def trace_branch(self, *branch):
        said, branches = placed(*branch)
        self.branches |= branches
        return said

    trace_branch.placed = placed
    coverage.CoverageCollector.trace_branch = trace_branch


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items, config):
    """Leave only the laws that apply to their cell, and let them run as they do under pytest."""
    from cellcheck.judging import barred

    tune()
    laws = [item for item in items if "Cell" in getattr(item, "fixturenames", ())]
    kept = [item for item in laws if not barred(item)]
    for item in kept:
        item.obj.hypothesis.inner_test = quietly(item.obj.hypothesis.inner_test)
    config.hook.pytest_deselected(items=[item for item in items if item not in kept])
    items[:] = kept


def quietly(law):
    """The law without floating-point flags and warnings, each call limited in time; a law is wrapped once."""
    if hasattr(law, "quiet"):
        return law

    @wraps(law)
    def quiet(**arguments):
        from cellcheck.properties.verdicts.limits import EXAMPLE, Hang, limited

        with np.errstate(all="ignore"), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                with limited(EXAMPLE):
                    return law(**arguments)
            except Hang as hang:  # no Exception, and would end the worker
                raise TimeoutError(str(hang)) from None

    quiet.quiet = True
    return quiet


def main(arguments=None):
    """Search for a time, then say what was searched and what was found; returns the number of broken laws, at most 1."""
    parser = argparse.ArgumentParser(prog="python -m cellcheck.fuzzing", description=__doc__.split("\n")[0])
    parser.add_argument("--seconds", type=float, default=600, help="how long (default 600)")
    parser.add_argument("--workers", type=int, default=os.cpu_count(), help="processes (default: one for each core)")
    options, chosen = parser.parse_known_args(arguments)
    start = monotonic()
    search([*PLUGIN, *chosen], options.workers, options.seconds)
    found = list(report([*PLUGIN, *chosen], chosen, monotonic() - start))
    print("\n".join(found))
    return any(line.startswith("found ") for line in found)


def search(arguments, workers, seconds):
    """HypoFuzz in a process group of its own, stopped after so many seconds unless every law is broken before."""
    command = [sys.executable, "-c", CLI, "fuzz", "--no-dashboard", "-n", str(workers), "--", *arguments]
    run = subprocess.Popen(command, start_new_session=True, stderr=subprocess.PIPE, text=True)
    with suppress(subprocess.TimeoutExpired):
        run.wait(timeout=seconds)
    for end in (signal.SIGINT, signal.SIGKILL):  # the group may outlive its first process
        with suppress(ProcessLookupError, subprocess.TimeoutExpired):
            os.killpg(run.pid, end)
            run.wait(timeout=10)
    if run.returncode == 2:
        raise SystemExit("HypoFuzz refused these arguments")


def report(arguments, chosen, seconds):
    """Lines: each law found broken, on what, and how plain pytest replays it; then totals."""
    from hypofuzz.collection import collect_tests
    from hypofuzz.database import FailureState

    targets, examples, broken = collect_tests(arguments).fuzz_targets, 0, 0
    for target in targets:
        key, database = target.database_key, target.database
        latest = {r.worker_uuid: r for r in sorted(database.reports.fetch(key), key=lambda r: r.elapsed_time)}
        inputs = sum(sum(r.status_counts.values()) for r in latest.values())
        examples += inputs
        for state in (FailureState.SHRUNK, FailureState.UNSHRUNK):
            failures = list(database.failures(state=state).fetch(key))
            if not failures:
                continue
            broken += 1
            seen = database.failure_observations(state=state).fetch(key, failures[0])
            yield f"found {target.nodeid} after {inputs} examples ({state.value}): {_told(seen)}"
            yield f"    pytest {shlex.join([*chosen, target.nodeid])}"
            break
        for fatal in database.fatal_failures.fetch_all(key):
            yield f"could not run {target.nodeid}: {fatal.traceback.splitlines()[-1]}"
    yield f"{len(targets)} laws on cells, {broken} broken; {examples} examples in {seconds:.0f} s"


def _told(observation):
    if observation is None:
        return "replay it to see the case"
    lines = (observation.metadata.traceback or "").strip().splitlines()
    return f"{' '.join(observation.representation.split())}: {lines[-1] if lines else ''}"


if __name__ == "__main__":
    sys.exit(main())
