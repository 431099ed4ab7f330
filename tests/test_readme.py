"""The README says what is true: its commands, its laws, its failing run, its links."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()
LAWS = [
    (law, docstring)
    for path in sorted((ROOT / "properties").glob("test_*.py"))
    for law, docstring in re.findall(
        r'^def test_(\w+)\(Cell, problem\):\n    r?"""(.*?)(?:\n\n|""")', path.read_text(), re.M | re.S
    )
]


@pytest.mark.parametrize(("law", "docstring"), LAWS, ids=[law for law, _ in LAWS])
def test_the_table_states_each_law(law, docstring):
    """Name and equation, as in the docstring."""
    row = f"| {law.replace('_', ' ')}"
    assert any(
        line.startswith(row) and " ".join(docstring.split()).rstrip(".") in line.replace("\\|", "|")
        for line in README.splitlines()
    )


def test_ci_runs_the_commands_of_the_readme():
    """Every command of .ci/run stands in the README, and the other way round."""
    ours = [line for line in (ROOT / ".ci" / "run").read_text().splitlines() if line.startswith("python3 -m venv")]
    assert ours == re.findall(r"^    (python3 -m venv .*)$", README, re.M)


def test_the_failing_run_is_what_is_printed(tmp_path):
    """The README's own cell, verified, prints the README's own report."""
    (tmp_path / "my_rnn.py").write_text(re.search(r"```python\n(import numpy.*?)```", README, re.S)[1])
    command = [sys.executable, "-m", "cellcheck", "my_rnn.py:MyRNN", "-k", "gradients"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "XDG_CACHE_HOME": str(tmp_path.parent / "cache")}
    run = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=120)
    assert re.search(r"```text\n(.*?)```", README, re.S)[1] in run.stdout


def test_links_lead_somewhere():
    """Every relative link is a file or a folder of this project."""
    for link in re.findall(r"\]\(([^)#:]+)\)", README):
        assert (ROOT / link).exists(), link
