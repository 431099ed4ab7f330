"""Where examples are kept: where Hypothesis keeps its own, and in a database shared with other hosts if CELLCHECK_DATABASE names one."""

import os
from functools import cache
from pathlib import Path

from hypothesis.database import BackgroundWriteDatabase, DirectoryBasedExampleDatabase, MultiplexedDatabase

VARIABLE = "CELLCHECK_DATABASE"
SERVERS = ("redis://", "rediss://", "unix://")


class DatabaseError(Exception):
    """One line: what was given, what is needed."""


def shared(place):
    """The database at `place`: redis://HOST:PORT/NUMBER or a directory. Raises DatabaseError if it cannot be used."""
    if not place.startswith(SERVERS):
        return DirectoryBasedExampleDatabase(place)
    try:
        from hypothesis.extra.redis import RedisExampleDatabase
        from redis import Redis, RedisError
    except ImportError:
        raise DatabaseError(f"{VARIABLE}={place} needs the package redis: pip install redis") from None
    try:
        server = Redis.from_url(place, socket_connect_timeout=10)
        server.ping()
    except (RedisError, ValueError) as error:
        raise DatabaseError(f"{VARIABLE}={place}: {error}") from None
    return BackgroundWriteDatabase(RedisExampleDatabase(server))


@cache  # HypoFuzz collects twice in one process and needs the same object both times
def opened(place):
    """The own database, together with the shared one at `place` unless that is None or empty. Raises DatabaseError."""
    folder = Path(os.environ.get("HYPOTHESIS_STORAGE_DIRECTORY") or ".hypothesis")
    own = DirectoryBasedExampleDatabase(folder.absolute() / "examples")
    return MultiplexedDatabase(own, shared(place)) if place else own
