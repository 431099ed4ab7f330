"""A database of examples on a server: asked in the background, or refused in one line; a server that is none stands in."""

import sys
from types import ModuleType

import pytest
from hypothesis.database import BackgroundWriteDatabase, InMemoryExampleDatabase

from cellcheck import database


class RedisError(Exception):
    """What the package raises."""


class Server:
    """Answers unless its address says otherwise."""

    def __init__(self, place):
        """place: its address."""
        self.place = place

    @classmethod
    def from_url(cls, place, **options):
        """The server there; a port must be a number."""
        if "port" in place:
            raise ValueError("the port is no number")
        return cls(place)

    def ping(self):
        """Whether it answers."""
        if "silent" in self.place:
            raise RedisError("no answer")


@pytest.fixture
def redis(monkeypatch):
    """The package, and what Hypothesis makes of it."""
    package, made = ModuleType("redis"), ModuleType("hypothesis.extra.redis")
    package.Redis, package.RedisError = Server, RedisError
    made.RedisExampleDatabase = type(
        "Kept", (InMemoryExampleDatabase,), {"__init__": lambda self, server: super(type(self), self).__init__()}
    )
    for module in (package, made):
        monkeypatch.setitem(sys.modules, module.__name__, module)


def test_a_server_that_answers_keeps_the_examples(redis):
    """No law waits for it to write."""
    shared = database.shared("redis://host:6379/0")
    shared.save(b"law", b"choices")
    assert isinstance(shared, BackgroundWriteDatabase) and set(shared.fetch(b"law")) == {b"choices"}


@pytest.mark.parametrize(("place", "why"), [("redis://silent/0", "no answer"), ("redis://host:port/0", "the port is no number")])
def test_a_server_that_cannot_be_used_is_refused(redis, place, why):
    """With its address and the reason."""
    with pytest.raises(database.DatabaseError, match=f"^CELLCHECK_DATABASE={place}: {why}$"):
        database.shared(place)


@pytest.mark.parametrize("place", ["redis://host/0", "unix:///run/redis"])
def test_a_missing_package_is_named(monkeypatch, place):
    """With the command that installs it."""
    monkeypatch.setitem(sys.modules, "redis", None)
    with pytest.raises(database.DatabaseError, match=f"^CELLCHECK_DATABASE={place} needs the package redis: pip install redis$"):
        database.shared(place)
