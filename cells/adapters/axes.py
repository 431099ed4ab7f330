"""The order of a guest's axes: "batch features", "features batch", "features", "steps batch features", "batch heads d d", ..."""

import numpy as np
from cellcheck.cells.lift import unmasked

FIRST = ("steps", "batch")  # of our axes; the others follow in the guest's order


class Axes:
    """Translates arrays between our order, (steps, batch, ...), and a guest's.

    Where the guest has no axis for the batch it takes a single row; a 1 is an axis of length 1.
    """

    def __init__(self, text):
        """text: the guest's axes, in order. Raises ValueError for an axis of steps or of the batch that is named twice."""
        self.names = text.split()
        if not all(name.isidentifier() or name == "1" for name in self.names) or any(self.names.count(n) > 1 for n in FIRST):
            told = f"axes {text!r}: wanted names and 1, with steps and batch once if there are such axes"
            raise ValueError(f"{told}; for an axis of length 2, name it two and pass sizes={{'two': 2}}")
        self.sequence, self.batch = "steps" in self.names, None if "batch" in self.names else 1
        kept = [name for name in self.names if name != "1"]
        places = {name: k for k, name in enumerate(FIRST)}
        self._order = sorted(range(len(kept)), key=lambda k: places.get(kept[k], len(FIRST)))
        self._ones = tuple(k for k, name in enumerate(self.names) if name == "1")

    def __deepcopy__(self, memo):
        """Itself, since it never changes: cells are copied often."""
        return self

    @property
    def own(self):
        """The names of the axes but steps, batch and 1."""
        return [name for name in self.names if name not in (*FIRST, "1")]

    def without_steps(self):
        """The axes of a state that is kept as x is."""
        return Axes(" ".join(name for name in self.names if name != "steps"))

    def to_guest(self, array):
        """An array of ours in the guest's order; ValueError for more rows than the guest has axes for."""
        if self.batch:
            rows = int(self.sequence)
            if array.shape[rows] != 1:
                raise ValueError(f"{array.shape[rows]} rows given, but the axes {' '.join(self.names)} hold a single one")
            array = array[(slice(None),) * rows + (0,)]
        return np.expand_dims(array.transpose(np.argsort(self._order)), self._ones)

    def to_ours(self, name, array):
        """The same backwards. name: for the message if its axes are other ones."""
        given = array
        if isinstance(given, dict):
            raise ValueError(f"{name} is a dict; name what it holds in the signature, as {name}=KEY")
        try:
            array = np.asarray(unmasked(f"{name} is", given))
        except ValueError:  # of unequal lengths
            array = None
            if not isinstance(given, tuple):
                raise
        if isinstance(given, tuple) and (array is None or array.ndim != len(self.names)):
            raise ValueError(f"{name} is a tuple of {len(given)}; name each of them in the signature")
        if array.ndim != len(self.names) or any(array.shape[k] != 1 for k in self._ones):
            raise ValueError(f"{name} has shape {array.shape}, but the axes {' '.join(self.names)} were declared")
        array = array.squeeze(self._ones).transpose(self._order)
        return np.expand_dims(array, int(self.sequence)) if self.batch else array
