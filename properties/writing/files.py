"""Files that nobody ever sees half written."""

import os
from contextlib import suppress


def whole(files):
    """Write all of these files or none of them. files: {path: text}. Raises OSError."""
    parts = {path.with_name(f".{path.name}.{os.getpid()}"): path for path in files}
    try:
        for part, path in parts.items():
            path.parent.mkdir(parents=True, exist_ok=True)
            part.write_text(files[path], encoding="utf-8", errors="backslashreplace")
        for part, path in parts.items():
            os.replace(part, path)
    except OSError:
        for part in parts:
            with suppress(OSError):
                part.unlink()
        raise
