"""What laws ask: derivatives of any cell, exact activations, and the same quantity computed in two ways."""

from cellcheck.properties.oracles.gradients import gradients
from cellcheck.properties.oracles.twice import agree, unchanged

__all__ = ["agree", "gradients", "unchanged"]
