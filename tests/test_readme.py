"""The README's commands for a fresh machine are those that .ci/run executes; test_docs.py tests the rest of it."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[1]


def test_ci_runs_the_commands_of_the_readme():
    """Every command of .ci/run stands in the README, and the other way round."""
    readme, script = ((ROOT / name).read_text(encoding="utf-8") for name in ("README.md", ".ci/run"))
    ours = [line for line in script.splitlines() if line.startswith("python3 -m venv")]
    assert ours == re.findall(r"^    (python3 -m venv .*)$", readme, re.M)
