"""Files that nobody ever sees half written."""

import os


def whole(path, text):
    """Write a file at once, under a name of its own until it is complete."""
    part = path.with_name(f".{path.name}.{os.getpid()}")
    part.write_text(text, encoding="utf-8")
    os.replace(part, path)
