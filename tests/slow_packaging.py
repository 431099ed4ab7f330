"""The wheel in fresh environments, outside any checkout: what it holds, which Pythons take it, and every door into it.

pytest tests/slow_packaging.py, with an index of packages at hand: minutes.
"""

import os
import re
import resource
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path
from statistics import median

import pytest

from tests import test_front_door

ROOT = Path(__file__).parents[1]
BESIDE = ("pytest-cov", "pytest-timeout", "pytest-randomly")


def run(folder, *command, **environment):
    """The finished command, in this folder and with nothing of ours in its environment."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("PYTEST_", "COV", "HYPOTHESIS_", "PYTHON", "PIP_REQUIRE"))}
    options = {"cwd": folder, "capture_output": True, "text": True, "timeout": 600}
    return subprocess.run(list(map(str, command)), env={**kept, "OMP_NUM_THREADS": "1", **environment}, **options)


def spent():
    """Seconds of processor time that finished processes have taken."""
    times = resource.getrusage(resource.RUSAGE_CHILDREN)
    return times.ru_utime + times.ru_stime


def python(version):
    """The interpreter of this version, on the path or among those of pyenv; skips where there is none."""
    found = [shutil.which(f"python{version}"), *sorted(Path.home().glob(f".pyenv/versions/{version}.*/bin/python"))]
    for candidate in filter(None, found):
        if subprocess.run([candidate, "-c", ""], capture_output=True).returncode == 0:
            return candidate
    pytest.skip(f"no Python {version} here")


@pytest.fixture(scope="session")
def wheel(tmp_path_factory):
    """The wheel of this checkout, made from a copy of what git would take."""
    folder = tmp_path_factory.mktemp("wheel")
    files = subprocess.run(["git", "ls-files", "-co", "--exclude-standard"], cwd=ROOT, capture_output=True, text=True, check=True)
    for name in files.stdout.splitlines():
        (folder / "source" / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, folder / "source" / name)
    done = run(folder, sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "-w", folder, folder / "source")
    assert done.returncode == 0, done.stderr
    [path] = folder.glob("*.whl")
    return path


@pytest.fixture(scope="session", params=["3.11", "3.13"])
def environment(request, wheel, tmp_path_factory):
    """The bin folder of a fresh environment that holds the wheel and the plugins that others use."""
    folder = tmp_path_factory.mktemp(f"python{request.param}")
    assert run(folder, python(request.param), "-m", "venv", folder / "v").returncode == 0
    done = run(folder, folder / "v/bin/pip", "install", "-q", wheel, *BESIDE)
    assert done.returncode == 0, done.stderr
    return folder / "v/bin"


@pytest.fixture
def project(tmp_path):
    """The folder of a user's project."""
    return test_front_door.planted(tmp_path)


def test_the_wheel_holds_the_package_and_says_what_it_needs(wheel):
    """No tests, one name for each module, and Python 3.11."""
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        [metadata] = [archive.read(name).decode() for name in names if name.endswith("/METADATA")]
    assert "Requires-Python: >=3.11\n" in metadata
    assert {name.split("/")[0] for name in names} == {"cellcheck", next(n for n in names if "dist-info" in n).split("/")[0]}
    shipped = {
        str(path.relative_to(ROOT)) for folder in ("cells", "strategies", "properties") for path in (ROOT / folder).rglob("*")
    }
    wanted = {f"cellcheck/{name}" for name in shipped if re.search(r"\.(py|json|css|html)$", name)}
    assert wanted - set(names) == set()
    assert "cellcheck/py.typed" in names


def test_an_older_python_is_refused(wheel, tmp_path):
    """By pip, which says why."""
    assert run(tmp_path, python("3.10"), "-m", "venv", tmp_path / "v").returncode == 0
    done = run(tmp_path, tmp_path / "v/bin/pip", "install", "--no-deps", wheel)
    assert done.returncode == 1
    assert "requires a different Python: 3.10" in done.stderr and "not in '>=3.11'" in done.stderr


def test_the_command_verifies_a_correct_and_a_broken_guest(environment, project, tmp_path_factory):
    """Exit status 0 and 1, and nothing but reports is left behind."""
    before, cache = {*project.rglob("*")}, str(tmp_path_factory.mktemp("cache"))
    good = run(project, environment / "cellcheck", "mynet.cells:MyGRU", "-W", "error", XDG_CACHE_HOME=cache)
    assert good.returncode == 0, good.stdout + good.stderr
    assert "HELD: 40 laws of MyGRU on 4,0" in good.stdout
    bad = run(project, environment / "cellcheck", "mynet/cells.py:Wrong", "--profile", "quick", XDG_CACHE_HOME=cache)
    assert bad.returncode == 1, bad.stdout + bad.stderr
    assert "likely: the gradient of U is scaled by 1.01" in bad.stdout
    left = {path.relative_to(project).parts[0] for path in {*project.rglob("*")} - before}
    assert left == {"reports"}


@pytest.mark.parametrize("workers", [(), ("-n2", "--cov=mynet", "--cov-context=test")], ids=["one process", "workers"])
def test_laws_run_beside_the_projects_own_tests(environment, project, workers):
    """A named cell and decorated tests, under -W error, with plugins of others; the environment may lie inside the project."""
    options = ["-W", "error", "--timeout=120", "--cell-profile=quick", "--cell", "mynet.cells:MyGRU", *workers]
    done = run(project, environment / "pytest", *options)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "HELD: 43 laws of 3 cells" in done.stdout and "test_mynet" in done.stdout + "test_mynet" * bool(workers)


def test_an_environment_inside_the_project_changes_nothing(wheel, project):
    """Its folder is not searched for tests, and laws have short names."""
    assert run(project, python("3.11"), "-m", "venv", project / ".venv").returncode == 0
    assert run(project, project / ".venv/bin/pip", "install", "-q", wheel).returncode == 0
    options = ["--cell", "mynet.cells:MyGRU", "--cell-profile=quick", "-k", "mine or state_gradients", "-v"]
    done = run(project, project / ".venv/bin/pytest", *options)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "\ncellcheck/test_gradients.py::test_state_gradients[mynet.cells:MyGRU] PASSED" in done.stdout
    assert "3 passed" in done.stdout
    done = run(project, project / ".venv/bin/cellcheck", "mynet.cells:MyGRU", "--profile=quick", "-k", "state_gradients")
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_script_verifies_its_own_class(environment, project):
    """In its own process, under -W error."""
    (project / "script.py").write_text(test_front_door.SCRIPT)
    done = run(project, environment / "python", "-W", "error", "script.py")
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_project_that_does_not_use_it_pays_little(environment, tmp_path, record_property):
    """`pytest --co` on an empty suite: what the plugin adds, in milliseconds of processor time; NumPy is not imported."""
    (tmp_path / "conftest.py").write_text(test_front_door.UNUSED)
    plain, ours = [], []
    for _ in range(9):
        for times, options in ((plain, ("-p", "no:cellcheck.plugin")), (ours, ())):
            start = spent()
            done = run(tmp_path, environment / "pytest", "--co", "-q", "-p", "no:randomly", *options)
            times.append(spent() - start)
            assert done.returncode == pytest.ExitCode.NO_TESTS_COLLECTED and "imported:\n" in done.stdout
    extra = 1e3 * (median(ours) - median(plain))
    record_property("extra ms", extra)
    print(f"\npytest --co: {1e3 * median(plain):.0f} ms without the plugin, {extra:.1f} ms more with it")


def test_types_are_checked_on_the_installed_package(wheel, tmp_path):
    """mypy, as in tox -e types."""
    assert run(tmp_path, python("3.11"), "-m", "venv", tmp_path / "v").returncode == 0
    assert run(tmp_path, tmp_path / "v/bin/pip", "install", "-q", wheel, "mypy").returncode == 0
    done = run(tmp_path, tmp_path / "v/bin/mypy", "--ignore-missing-imports", "-p", "cellcheck")
    assert done.returncode == 0, done.stdout
