"""The default run of the laws on the shipped cells: wall time, examples a second, and where the time goes."""

import json
import os
import subprocess
import sys
import tempfile
from contextlib import contextmanager
from functools import wraps
from pathlib import Path
from time import perf_counter

HOME = Path(__file__).parents[1]
LAWS = sorted(str(path.relative_to(HOME)) for path in (HOME / "properties").glob("test_*.py"))
SHARES = ("cells", "oracles and laws", "building arrays", "drawing recipes", "Hypothesis", "pytest")


def run(*options, profile="default"):
    """(wall seconds, output) of the laws on the shipped cells with these options."""
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *LAWS, "--cell-profile", profile, *options]
    start = perf_counter()
    done = subprocess.run(command, cwd=HOME, capture_output=True, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"})
    return perf_counter() - start, done.stdout


def shares(profile="default"):
    """(processor seconds by SHARES, examples) of a run in one process."""
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "shares.json"
        os.environ["CELLCHECK_SHARES"] = str(path)
        try:
            run("-n0", "-p", "bench.suite", profile=profile)
            found = json.loads(path.read_text())
        finally:
            del os.environ["CELLCHECK_SHARES"]
    return found["seconds"], found["examples"]


class Shares:
    """A stopwatch with one running label: time goes to the innermost of nested parts."""

    def __init__(self):
        """Nothing has been spent."""
        from time import process_time

        self.now, self.spent, self.stack, self.examples = process_time, dict.fromkeys(SHARES, 0.0), ["pytest"], 0
        self.last = self.now()

    @contextmanager
    def part(self, label):
        """Time goes to this label until the part ends."""
        self._turn()
        self.stack.append(label)
        try:
            yield
        finally:
            self._turn()
            self.stack.pop()

    def _turn(self):
        now = self.now()
        self.spent[self.stack[-1]] += now - self.last
        self.last = now

    def around(self, label, function):
        """The function, timed under the label."""

        @wraps(function)
        def timed(*args, **options):
            with self.part(label):
                return function(*args, **options)

        return timed


def pytest_configure(config):
    """As a plugin: time the cells, what builds arrays, draws, Hypothesis and the laws."""
    from cellcheck.cells.contract import Cell
    from cellcheck.cells.unroll import Unrolled
    from cellcheck.strategies import Literal, Problem
    from hypothesis.internal.conjecture.data import ConjectureData

    from cellcheck import judging

    config.shares = clock = Shares()
    for owner, name in ((Cell, "apply"), (Cell, "vjp"), (Unrolled, "apply")):
        setattr(owner, name, clock.around("cells", getattr(owner, name)))
    for owner in (Problem, Literal):
        for name in ("build", "upstreams", "directions"):
            setattr(owner, name, clock.around("building arrays", getattr(owner, name)))
    ConjectureData.draw = clock.around("drawing recipes", ConjectureData.draw)
    observed = judging.observed

    def timed(check, *args, **options):
        @wraps(check)
        def counted(**given):
            clock.examples += 1
            with clock.part("oracles and laws"):
                return check(**given)

        return observed(counted, *args, **options)

    judging.observed = clock.around("Hypothesis", timed)  # what a law spends outside its examples


def pytest_unconfigure(config):
    """Write what was measured where CELLCHECK_SHARES says."""
    config.shares._turn()
    found = {"seconds": config.shares.spent, "examples": config.shares.examples}
    Path(os.environ["CELLCHECK_SHARES"]).write_text(json.dumps(found), encoding="utf-8")
