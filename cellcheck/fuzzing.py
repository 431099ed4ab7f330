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
from functools import cache
from pathlib import Path
from time import monotonic
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import settings

import cellcheck.properties
import cellcheck.strategies
from cellcheck.judging import trial_of
from cellcheck.profiles import profile
from cellcheck.properties.intake.capabilities import missing
from cellcheck.properties.verdicts.limits import Hang, limited
from cellcheck.running import as_test

PLUGIN = ("-p", "cellcheck.plugin", "-p", "cellcheck.fuzzing", "--cell-profile", "fuzz")
HERE = Path(__file__).resolve().parent
OTHERS = tuple(
    f"{Path(str(module.__file__)).resolve().parent}{os.sep}" for module in (cellcheck.properties, cellcheck.strategies, np)
)
CLI = "from hypothesis.extra.cli import main; main(prog_name='hypothesis')"


def tune():
    """Let the branches of cells alone guide HypoFuzz, place each only once (ten times the examples a second), and do not explain."""
    from hypofuzz import coverage, hypofuzz

    theirs, place, shrinker = coverage.should_trace, coverage.CoverageCollector.trace_branch, hypofuzz.get_shrinker
    if hasattr(place, "placed"):
        return
    hypofuzz.get_shrinker = lambda law, **options: shrinker(law, **{**options, "explain": False})  # minutes; pytest explains
    coverage.should_trace = cache(lambda file: theirs(file) and not file.startswith(OTHERS) and Path(file).parent != HERE)
    target = hypofuzz.FuzzTarget.from_hypothesis_test

    def from_hypothesis_test(test, **options):
        del test.hypothesis.inner_test._hypothesis_internal_add_digest  # so that examples have the key that pytest replays
        return target(test, **options)

    hypofuzz.FuzzTarget.from_hypothesis_test = from_hypothesis_test

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


def pytest_configure():
    """HypoFuzz refuses tests with a database that is not that of the loaded profile; this process has no other tests."""
    settings.register_profile("cellcheck", profile("fuzz"))
    settings.load_profile("cellcheck")


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items, config):
    """Leave only the laws that apply to their cell, and let them run as they do under pytest."""
    tune()
    kept = []
    for item in items:
        trial = trial_of(item)
        if trial and not missing(trial.subject.Cell, trial.law.needs):
            item.obj = as_test(quiet(trial), trial.law.check, trial.subject.label, settings())
            kept.append(item)
    config.hook.pytest_deselected(items=[item for item in items if item not in kept])
    items[:] = kept


def quiet(trial):
    """The law of a trial on its cell as a function of (Cell, problem): no flags, no warnings, each call limited in time."""

    def law(Cell, problem):
        with np.errstate(all="ignore"), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                with limited(trial.options.limit):
                    return trial.law.check(Cell=trial.subject.Cell, problem=problem)
            except Hang as hang:  # no Exception, and would end the worker
                raise TimeoutError(str(hang)) from None

    return law


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
            yield f"    pytest {shlex.join([*chosen, '-k', target.nodeid.rpartition('::')[2].partition('[')[0]])}"
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
