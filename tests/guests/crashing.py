"""Cells that take their worker down in the law of weight gradients, as a segmentation fault in compiled code would."""

import os
from pathlib import Path

from gist import CorrectRNN


def crashing():
    """Whether a worker asks for weight gradients."""
    return "PYTEST_XDIST_WORKER" in os.environ and "weight_gradients" in os.environ.get("PYTEST_CURRENT_TEST", "")


class Once(CorrectRNN):
    """Crashes unless the file that CRASHED names is there."""

    def backward(self, d_output):
        """The gradients, the second time."""
        crashed = Path(os.environ.get("CRASHED", os.devnull))
        if crashing() and not crashed.exists():  # pragma: no cover (the process ends, and with it what was measured)
            crashed.touch()
            os._exit(1)
        return super().backward(d_output)


class Always(CorrectRNN):
    """Crashes each time."""

    def backward(self, d_output):
        """The gradients, but for that law."""
        if crashing():  # pragma: no cover (likewise)
            os._exit(1)
        return super().backward(d_output)
