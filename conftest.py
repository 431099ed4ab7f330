"""Loads the plugin, so that a checkout works without an installation."""

pytest_plugins = ["cellcheck.plugin"]
