"""Property-based verification of recurrent cells."""

from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cellcheck.checking import check as check
    from cellcheck.plugin import laws_of as laws_of
    from cellcheck.porting import check_port as check_port

__all__ = ["check", "check_port", "laws_of"]
__version__ = "0.3.0"
HOMES = {  # imported when asked for: the first two import NumPy
    "check": "cellcheck.checking",
    "check_port": "cellcheck.porting",
    "laws_of": "cellcheck.plugin",
}

if not Path(__file__).with_name("cells").is_dir():  # a checkout, where cells, strategies and properties lie beside this folder
    __path__.append(str(Path(__file__).parents[1]))


def __getattr__(name):
    """`check`, `check_port` and `laws_of`, imported at their first use."""
    if name in HOMES:
        return getattr(import_module(HOMES[name]), name)
    raise AttributeError(f"module 'cellcheck' has no attribute {name!r}")
