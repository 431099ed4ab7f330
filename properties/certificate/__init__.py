"""What a run proved, as data and as a page: `--certificate FILE.json` or FILE.html, and the table in the terminal."""

from cellcheck.properties.certificate.collecting import Collector
from cellcheck.properties.certificate.data import VERSION, certificate
from cellcheck.properties.certificate.files import FORMATS, write

__all__ = ["FORMATS", "VERSION", "Collector", "certificate", "write"]
