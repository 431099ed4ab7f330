"""The certificate written: as JSON, or as one page of HTML."""

import json
from pathlib import Path

from cellcheck.properties.certificate.page import page


def write(path, certificate):
    """Write the certificate as the ending of `path` says; returns the path. Reports are linked relative to it."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    text = json.dumps(certificate, indent=1, allow_nan=False) + "\n" if path.suffix == ".json" else page(certificate, path.parent)
    path.write_text(text, encoding="utf-8")
    return path
