"""What a run proved, as data and as a page: `--certificate FILE.json` or FILE.html, and the table in the terminal."""

from .collecting import Collector
from .data import VERSION, certificate
from .files import FORMATS, write

__all__ = ["FORMATS", "VERSION", "Collector", "certificate", "write"]
