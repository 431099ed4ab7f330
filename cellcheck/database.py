"""Where examples are kept: in this checkout, and in a database shared with other hosts if CELLCHECK_DATABASE names one.

A plain module, not conftest: HypoFuzz collects twice in one process and wants the same object both times.
"""

import os

from hypothesis import settings
from hypothesis.database import BackgroundWriteDatabase, DirectoryBasedExampleDatabase, MultiplexedDatabase

VARIABLE = "CELLCHECK_DATABASE"
SERVERS = ("redis://", "rediss://", "unix://")


class DatabaseError(Exception):
    """One line that says what was given and what is wanted."""


def shared(place):
    """The database at `place`: redis://HOST:PORT/NUMBER or a directory. Raises DatabaseError where it cannot be used."""
    if not place.startswith(SERVERS):
        return DirectoryBasedExampleDatabase(place)
    try:
        from hypothesis.extra.redis import RedisExampleDatabase
        from redis import Redis, RedisError
    except ImportError:
        raise DatabaseError(f"{VARIABLE}={place} wants the package redis: pip install redis") from None
    try:
        server = Redis.from_url(place, socket_connect_timeout=10)
        server.ping()
    except (RedisError, ValueError) as error:
        raise DatabaseError(f"{VARIABLE}={place}: {error}") from None
    return BackgroundWriteDatabase(RedisExampleDatabase(server))


def options(place):
    """What every profile says about the database: nothing without a place, so that Hypothesis decides."""
    return {"derandomize": False, "database": MultiplexedDatabase(OWN, shared(place))} if place else {}


OWN = settings().database or DirectoryBasedExampleDatabase(".hypothesis/examples")  # CI has none by default
OPTIONS = options(os.environ.get(VARIABLE))
SEARCHED = {"derandomize": False, "database": OWN, **OPTIONS}  # for a search, which cannot do without
