"""Loads the plugin, so that a checkout works without an installation."""

from pathlib import Path

import pytest

pytest_plugins = ["cellcheck.plugin"]


def pytest_configure():
    """Refuse to run the tests of this checkout on another copy of the package."""
    from cellcheck.plugin import LAWS

    if LAWS.parent != Path(__file__).resolve().parent:
        raise pytest.UsageError(f"cellcheck is installed in {LAWS.parent}, which is not this checkout; pip install -e .")
