"""What laws ask: derivatives of any cell, exact activations, and the same quantity computed in two ways."""

from .gradients import gradients
from .twice import agree

__all__ = ["agree", "gradients"]
