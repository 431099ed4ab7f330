"""What a run proved, as data and as a page: `--cell-certificate FILE.json` or FILE.html, and the table in the terminal."""

from cellcheck.properties.certificate.collecting import Collector, ended, without
from cellcheck.properties.certificate.data import VERSION, certificate, described
from cellcheck.properties.certificate.files import write

__all__ = ["VERSION", "Collector", "certificate", "described", "ended", "without", "write"]
