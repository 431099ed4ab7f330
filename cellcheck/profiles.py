"""How hard the laws are asked, and whether the examples are random: Hypothesis's profiles, chosen by --hypothesis-profile."""

from hypothesis import HealthCheck, Phase, settings

from cellcheck import database

RELEASE = {"derandomize": True, "database": None}  # the same examples on every host and any number of workers
PROFILES = {
    "quick": (20, database.OPTIONS),
    "default": (100, database.OPTIONS),
    "thorough": (2000, database.OPTIONS),
    "release": (1000, RELEASE),
    "fuzz": (100, database.SEARCHED),
}
COMMON = {
    "deadline": None,
    "report_multiple_bugs": False,
    "print_blob": False,
    "phases": [phase for phase in Phase if phase != Phase.explain],
    "suppress_health_check": [check for check in HealthCheck if check.name != "nested_given"],  # HypoFuzz skips such laws
}


def register():
    """Register the profiles and load the default; to be called before any law is imported, which freezes its settings."""
    for name, (examples, kept) in PROFILES.items():
        settings.register_profile(name, max_examples=examples, **COMMON, **kept)
    settings.load_profile("default")


def settle():
    """Where examples are to be the same everywhere, draw no constants from the modules that happen to be loaded.

    Hypothesis draws some of its integers from the source of what was imported so far, so that the examples of a law would depend on
    which others were collected with it. There is no setting for this.
    """
    from hypothesis.internal.conjecture import providers

    if settings().derandomize and hasattr(providers, "_get_local_constants"):
        providers._get_local_constants = providers.Constants
        providers.CONSTANTS_CACHE.cache.clear()
