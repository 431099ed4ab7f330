"""The time of whole runs beside that of an earlier commit, in turn on the same machine."""

import os
import subprocess
import sys
import tempfile
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from time import perf_counter

HOME = Path(__file__).parents[1]
COMMIT = "581b75f"  # the last one before the package, when the laws were a folder of tests
RUNS = 5
GIST, GRU, BROKEN = (["--cell", f"{HOME / 'bench' / 'guests.py'}:{name}"] for name in ("GistRNN", "GRU", "Broken"))
QUICK, TWO = ["--hypothesis-profile", "quick"], ["-n", "2"]
KINDS = {  # options of pytest at that commit, from which those of the command follow
    "laws on the shipped cells, -n 2": TWO,
    "the same, -n 0": ["-n", "0"],
    "gist-style guest": [*GIST, *TWO],
    "gist-style guest, quick": [*GIST, *QUICK, *TWO],
    "full-contract guest": [*GRU, *TWO],
    "full-contract guest, quick": [*GRU, *QUICK, *TWO],
    "broken guest, to its reports": [*BROKEN, *TWO, "--reports", "reports"],
    "collection alone": ["--collect-only"],
}
NAMES = {"--hypothesis-profile": "--profile"}


@contextmanager
def checkout(commit):
    """A folder with this commit, for a while."""
    git = ["git", "-C", str(HOME), "worktree"]
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run([*git, "add", "--detach", folder, commit], check=True, capture_output=True)
        try:
            yield Path(folder)
        finally:
            subprocess.run([*git, "remove", "--force", folder], check=True, capture_output=True)


def pairs():
    """{kind: (median seconds now, median seconds at COMMIT)} of RUNS runs of each, in turn. Raises RuntimeError for one that fails."""
    found = {}
    with checkout(COMMIT) as old, tempfile.TemporaryDirectory() as new:
        off = ["-p", "no:cacheprovider", "-p", "no:cellcheck.plugin"]  # that commit has the plugin's options in its conftest
        before = ["-m", "pytest", "-q", *off, "properties", "--ignore", "properties/meta"]
        for kind, options in KINDS.items():
            now = ["-m", "cellcheck", *(NAMES.get(o, o) for o in options if o != "--cell")]
            status = int(BROKEN[1] in options)
            for _ in range(RUNS):
                spent = (_seconds(now, new, status, PYTHONPATH=str(HOME)), _seconds([*before, *options], old, status))
                found.setdefault(kind, []).append(spent)
    return {kind: tuple(map(median, zip(*spent))) for kind, spent in found.items()}


def _seconds(arguments, folder, status, **variables):
    """Of one run, which must end with this exit status."""
    start = perf_counter()
    environment = {**os.environ, "OMP_NUM_THREADS": "1", **variables}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)  # both keep their compiled files, as a user's do
    done = subprocess.run([sys.executable, *arguments], cwd=folder, capture_output=True, env=environment, text=True)
    if done.returncode != status:
        raise RuntimeError(f"{' '.join(arguments)} ended with {done.returncode}:\n{done.stdout[-2000:]}{done.stderr[-2000:]}")
    return perf_counter() - start
