"""What laws ask: derivatives of any cell, exact activations, and the same quantity computed in two ways."""

from cellcheck.properties.oracles.gradients import gradients
from cellcheck.properties.oracles.twice import agree, alike, unchanged

__all__ = ["agree", "alike", "gradients", "unchanged"]
