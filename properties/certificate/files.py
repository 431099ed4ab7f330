"""The certificate written: as JSON, or as one page of HTML."""

import json
from pathlib import Path

from cellcheck.properties.writing.files import whole


def write(path, certificate):
    """Write the certificate, whole or not at all, as the ending of `path` says; returns the path. Raises OSError.

    Reports are linked relative to it.
    """
    from cellcheck.properties.certificate.page import page  # few runs need it

    path = Path(path)
    text = json.dumps(certificate, indent=1, allow_nan=False) + "\n" if path.suffix == ".json" else page(certificate, path.parent)
    whole({path: text})
    return path
