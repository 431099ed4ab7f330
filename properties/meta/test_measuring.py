"""Coverage of a guest: its own file, and the branch that no law reaches."""

import subprocess
import sys
from pathlib import Path

import pytest

from properties.measuring import patterns

ROOT = Path(__file__).parents[2]
GUEST = """import numpy as np


class MyRNN:
    def __init__(self, features, state):
        self.W, self.b = np.zeros((features + state, state)), np.zeros(state)
        self.weights = [self.W, self.b]

    def forward(self, x, h):
        self.X = np.concatenate([x, h], axis=1)
        self.y = np.tanh(self.X @ self.W + self.b)
        if x.shape[1] > 1000:
            self.y = self.y[::-1]
        return self.y.sum()

    def backward(self, d):
        dz = d * (1 - self.y**2)
        return [self.X.T @ dz, dz.sum(axis=0)]
"""


@pytest.mark.parametrize("workers", [(), ("-n1",)], ids=["one process", "a worker"])
def test_the_branch_that_no_law_reaches_is_shown(tmp_path, workers):
    """Line 13 of the guest is missing, everything else ran, by the laws that are named as contexts."""
    (tmp_path / "my_rnn.py").write_text(GUEST)
    laws = [str(ROOT / "properties/test_gradients.py"), "-p", "no:cacheprovider", "-q", "--reports", "", *workers]
    coverage = [sys.executable, "-m", "coverage"]
    rc = f"--rcfile={ROOT / 'tox.ini'}"
    start = [
        *coverage,
        "run",
        rc,
        "-m",
        "pytest",
        *laws,
        "--cell",
        "my_rnn.py:MyRNN",
        "--hypothesis-profile",
        "quick",
        "-k",
        "test_weight",
    ]
    steps = [start, [*coverage, "combine", "-q", rc], [*coverage, "report", rc, "-m", "--include", "my_rnn.py"]]
    done = [subprocess.run(step, cwd=tmp_path, capture_output=True, text=True, timeout=300) for step in steps]
    [line] = [line for line in done[-1].stdout.splitlines() if line.startswith("my_rnn.py")]
    assert line.split() == ["my_rnn.py", "14", "1", "2", "1", "88%", "13"], done


def test_files_of_guests_are_found_by_path_or_module(tmp_path):
    """A module's file may be its package's."""
    assert patterns(["a/my.py:A"], tmp_path) == [str(tmp_path / "a/my.py")]
    assert patterns(["pack.mod:A"], tmp_path) == ["*/pack/mod.py", "*/pack/mod/__init__.py"]
