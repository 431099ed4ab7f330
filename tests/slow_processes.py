"""Whole runs in processes of their own, each some seconds: run by name, and under coverage.

pytest tests/slow_processes.py
"""

import json
import sqlite3
from pathlib import Path

import pytest
from cellcheck.properties.certificate.page import page

from tests import test_guests

ROOT = Path(__file__).parents[1]
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
WILD = """
class Hangs(CorrectRNN):
    def backward(self, d_output):
        while len(self.x) > 4:
            pass
        return super().backward(d_output)

class Exits(CorrectRNN):
    def backward(self, d_output):
        return super().backward(d_output) if len(self.x) < 5 else exit(3)
"""


@pytest.mark.parametrize("workers", [(), ("-n1",)], ids=["one process", "a worker"])
def test_the_branch_that_no_law_reaches_is_shown(tmp_path, workers):
    """Line 13 of the guest is missing, everything else ran, by the laws that are named as contexts."""
    pytest.importorskip("pytest_cov")
    test_guests.planted(tmp_path, {"my_rnn.py": GUEST})
    options = ["--cov=.", "--cov-branch", "--cov-context=test", "--cov-report=term-missing", "-k", "test_weight", *workers]
    code, text = test_guests.run(tmp_path, "my_rnn.py:MyRNN", *options)
    [line] = [line for line in text.splitlines() if line.startswith("my_rnn.py  ")]
    assert (code, line.split()) == (0, ["my_rnn.py", "14", "1", "2", "1", "88%", "13"]), text
    contexts = sqlite3.connect(tmp_path / ".coverage").execute("select context from context").fetchall()
    assert any("test_weight_gradients[my_rnn.py:MyRNN]|run" in context for (context,) in contexts)


def test_a_crashed_worker_is_not_a_pass(tmp_path):
    """A guest that takes its process down at batch 5 leaves laws incomplete, in the terminal and in the certificate."""
    guests = f"import os, sys\nsys.path.insert(0, {str(ROOT / 'tests/guests')!r})\nfrom gist import CorrectRNN\n\n\n"
    body = "return os._exit(1) if len(x) > 4 else super().forward(x, h)"
    (tmp_path / "deadly.py").write_text(f"{guests}class Deadly(CorrectRNN):\n    def forward(self, x, h):\n        {body}\n")
    options = ["-n1", "--profile", "default", "-k", "weight_gradients or input_gradients", "--certificate", "c.json"]
    code, text = test_guests.run(tmp_path, "deadly.py:Deadly", *options)
    whole = json.loads((tmp_path / "c.json").read_text())
    assert code == 1
    assert whole["status"] == whole["cells"][0]["status"] == "incomplete"
    assert "Deadly: incomplete: its worker crashed (weight_gradients)" in text
    assert "this is not a pass" in page(whole, tmp_path)


def test_a_guest_that_hangs_or_exits_does_not_take_the_run_down(tmp_path):
    """The law says so, the other laws of the one that hangs are skipped, those of the next guest run."""
    test_guests.planted(tmp_path, {"guest.py": test_guests.CELL + WILD})
    arguments = [f"guest.py:{name}" for name in ("Hangs", "Exits", "CorrectRNN")]
    code, text = test_guests.run(
        tmp_path, *arguments, "-n1", "--profile", "default", "--limit", "0.5", "-k", "weight_gradient", "-v"
    )
    assert code == 1, text
    assert "took more than" in text and "SystemExit" in text and "hung in an earlier law" in text
    passed = "cellcheck/test_gradients.py::test_weight_gradients[guest.py:CorrectRNN]"
    assert f"{passed} PASSED" in text or f"PASSED {passed}" in text
