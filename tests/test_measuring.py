"""Coverage of a guest: how its own file is measured."""

from types import SimpleNamespace

import pytest

from cellcheck import measuring
from cellcheck.measuring import patterns


def test_files_of_guests_are_found_by_path_or_module(tmp_path):
    """A module's file may be its package's."""
    assert patterns(["a/my.py:A"], tmp_path) == [str(tmp_path / "a/my.py")]
    assert patterns(["pack.mod:A"], tmp_path) == ["*/pack/mod.py", "*/pack/mod/__init__.py"]


class Coverage:
    """In place of coverage.Coverage: what measures, and what it was told."""

    measures: list = []  # noqa: RUF012

    def __init__(self, **options):
        """options: of the configuration."""
        self.options, self.log = options, []

    @classmethod
    def current(cls):
        """What measures now."""
        return cls.measures[-1] if cls.measures else None

    def get_option(self, name):
        """The data file."""
        return {"run:data_file": "data"}[name]

    def set_option(self, name, value):
        """Noted."""
        self.options[name] = value

    def start(self):
        """From now on."""
        self.measures.append(self)

    def stop(self):
        """Until now."""
        self.measures.remove(self)

    def save(self):
        """Noted."""
        self.log.append("saved")

    def switch_context(self, name):
        """Noted."""
        self.log.append(name)


@pytest.fixture
def running(monkeypatch):
    """A run under coverage."""
    monkeypatch.setattr(measuring, "coverage", SimpleNamespace(Coverage=Coverage))
    monkeypatch.setattr(Coverage, "measures", [Coverage()])
    return Coverage.current()


def session(tmp_path, *cells):
    """The configuration of pytest, once measuring has seen it."""
    config = SimpleNamespace(option=SimpleNamespace(cell=list(cells)), stash=pytest.Stash())
    config.invocation_params = SimpleNamespace(dir=tmp_path)
    measuring.pytest_configure(config)
    return config


def test_a_new_measurement_takes_over_for_a_guest(running, tmp_path):
    """It writes beside the first, measures the guest's file as well, and is saved in the end."""
    config, new = session(tmp_path, "my_rnn.py:MyRNN"), Coverage.current()
    assert Coverage.measures == [new] and new is not running
    assert new.options["data_file"] == "data" and new.options["data_suffix"] and new.options["run:source"] is None
    assert new.options["include"][0] == str(tmp_path / "my_rnn.py") and len(new.options["include"]) == 4
    measuring.pytest_unconfigure(config)
    assert Coverage.measures == [] and new.log == ["saved"]


def test_without_a_guest_the_first_measurement_goes_on(running, tmp_path):
    """Ours are measured already."""
    measuring.pytest_unconfigure(session(tmp_path))
    assert Coverage.measures == [running] and running.log == []


@pytest.mark.parametrize("measured", [True, False])
def test_a_law_is_the_context_of_its_lines(running, measured):
    """Where something measures; its outcome is passed on."""
    Coverage.measures[:] = [running] * measured
    law = measuring.pytest_runtest_protocol(SimpleNamespace(nodeid="test_law"))
    next(law)
    with pytest.raises(StopIteration) as ended:
        law.send("passed")
    assert ended.value.value == "passed" and running.log == ["test_law"] * measured
