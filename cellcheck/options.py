"""The options that every door takes: their names, defaults and meaning.

The plugin reads them in every pytest run of an environment, so this module imports only the standard library.
"""

import math
from dataclasses import dataclass, field, fields
from pathlib import Path

PROFILES = {"quick": 20, "default": 100, "thorough": 2000, "release": 1000, "fuzz": 100}  # examples a law
FORMATS = (".json", ".html")  # of a certificate
ACTIONS = {bool: "store_true", tuple: "append"}


class OptionError(ValueError):
    """One line: the option, what was given, what is needed."""


def _option(default, metavar, text, **more):
    return field(default=default, metadata={"metavar": metavar, "help": text, "more": more})


def _seconds(name, value):
    """The number of seconds that a text or number stands for. Raises OptionError unless it is above 0."""
    try:
        seconds = float(value)
    except (TypeError, ValueError):
        seconds = math.nan
    if not 0 < seconds < math.inf:
        raise OptionError(f"{name} {value}: not a number of seconds above 0, such as 30")
    return seconds


@dataclass(frozen=True)
class Options:
    """How cells are verified. Raises OptionError for a value that makes no sense.

    On the command line `limit` is --cell-limit (for `cellcheck` also --limit), and likewise for the others.
    """

    profile: str = _option("default", "NAME", "quick, default, thorough, release: 20, 100, 2000, 1000 examples a law")
    limit: float = _option(120.0, "SECONDS", "the longest that one example may take (default: 120)")
    strict: bool = _option(False, None, "a broken promise of a guest fails the run")
    expected_failures: str | None = _option(None, "FILE", "lines `law: reason` or `law @ CELL: reason`")
    reports: str | None = _option("reports", "DIR", "of broken laws (default: reports; empty: nowhere)")
    certificate: tuple = _option((), "FILE", "write the certificate, .json or .html; repeatable")

    reference: object = _option(None, "CELL", "what each cell must equal: a cell, torch:LSTM, ...")
    convention: str | None = _option(None, "NAME", "the framework whose layout each cell must have")
    mutants: float | None = _option(None, "SECONDS", "edit the code of each cell that held (default: 60)", nargs="?", const=60.0)

    def __post_init__(self):
        """Check the values; a limit may be text."""
        if self.profile not in PROFILES:
            raise OptionError(f"profile {self.profile}: there is no such profile; choose from {', '.join(PROFILES)}")
        if not isinstance(self.strict, bool):
            raise OptionError(f"strict {self.strict!r}: give True or False")
        object.__setattr__(self, "limit", _seconds("limit", self.limit))
        if self.mutants is not None:
            object.__setattr__(self, "mutants", _seconds("mutants", self.mutants))
        for name in self.certificate:
            if Path(name).suffix not in FORMATS:
                raise OptionError(f"certificate {name}: the name must end in {' or '.join(FORMATS)}")

    @property
    def examples(self):
        """How many examples of each law are drawn."""
        return PROFILES[self.profile]

    @classmethod
    def parsed(cls, namespace):
        """The options on pytest's command line. namespace: what `add` has filled in."""
        given = {f.name: getattr(namespace, f"cell_{f.name}") for f in fields(cls)}
        return cls(**{name: value for name, value in given.items() if value is not None})


def add(addoption, prefix):
    """Declare every option. addoption: as of argparse; prefix: of the names, such as "cell-"."""
    for f in fields(Options):
        how = {
            "action": ACTIONS.get(type(f.default), "store"),
            "dest": f"cell_{f.name}",
            "default": None,
            "help": f.metadata["help"],
        }
        how |= f.metadata["more"] | ({"metavar": f.metadata["metavar"]} if f.metadata["metavar"] else {})
        addoption(f"--{prefix}{f.name.replace('_', '-')}", **how)
