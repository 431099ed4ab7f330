"""Hypothesis's settings for each profile.

None is registered or loaded: a user's own profile governs the user's own tests, and nothing here.
"""

import os
from contextlib import contextmanager
from math import ceil

from hypothesis import HealthCheck, Phase, Verbosity, settings

from cellcheck import database
from cellcheck.options import PROFILES

FIXED = {"derandomize": True, "database": None}  # the same examples on every host and with any number of workers
COMMON = {  # complete, so that nothing comes from the profile that is loaded
    "backend": "hypothesis",
    "deadline": None,
    "print_blob": False,
    "report_multiple_bugs": False,
    "stateful_step_count": 50,
    "suppress_health_check": [check for check in HealthCheck if check.name != "nested_given"],  # HypoFuzz skips such laws
    "verbosity": Verbosity.quiet,
}
PHASES = [phase for phase in Phase if phase not in (Phase.shrink, Phase.explain)]  # see properties/shrinking


def profile(name, together=1):
    """The settings of a profile in options.PROFILES. Raises DatabaseError if CELLCHECK_DATABASE cannot be used.

    together: how many problems are judged for each example of Hypothesis but the first (Problem.family).
    """
    place = os.environ.get(database.VARIABLE)
    fixed = name == "release" or ("CI" in os.environ and not place and name != "fuzz")
    kept = FIXED if fixed else {"derandomize": False, "database": database.opened(place)}
    return settings(max_examples=1 + ceil((PROFILES[name] - 1) / together), phases=PHASES, **COMMON, **kept)


@contextmanager
def settled():
    """Draw no constants from the modules that happen to be loaded.

    Hypothesis draws some integers from the source of what was imported so far, so that the examples of a law would depend on
    which others were collected with it; and reading these sources takes time. There is no setting for this.
    """
    from hypothesis.internal.conjecture import providers

    if not hasattr(providers, "_get_local_constants"):
        yield
        return
    local, providers._get_local_constants = providers._get_local_constants, providers.Constants
    providers.CONSTANTS_CACHE.cache.clear()
    try:
        yield
    finally:
        providers._get_local_constants = local
        providers.CONSTANTS_CACHE.cache.clear()
