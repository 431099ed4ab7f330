"""The order of a guest's axes: "batch features", "features batch", "features", "steps batch features", "steps features", ..."""

import numpy as np

KNOWN = ("steps", "batch", "features", "1")


class Axes:
    """Translates arrays between our order, (steps, batch, features), and a guest's.

    A state has the guest's axes without the steps. Where the guest has no axis for the batch it takes a single row; a 1 is an
    axis of length 1.
    """

    def __init__(self, text):
        """text: the guest's axes for x, in order. Raises ValueError for any other word, or without features."""
        self.names = text.split()
        if set(self.names) - set(KNOWN) or self.names.count("features") != 1 or len(set(self.names)) < len(self.names):
            raise ValueError(f"axes {text!r}: wanted features, and steps, batch and 1 if there are such axes, each once")
        self.sequence, self.batch = "steps" in self.names, None if "batch" in self.names else 1

    def __deepcopy__(self, memo):
        """Itself, since it never changes: cells are copied often."""
        return self

    def to_guest(self, array):
        """An x, state or ys of ours in the guest's order; ValueError for more rows than the guest has axes for."""
        ours, theirs = self._orders(array.ndim == 3)
        if "batch" not in theirs:
            if array.shape[-2] != 1:
                raise ValueError(f"{array.shape[-2]} rows given, but the axes {' '.join(theirs)} hold a single one")
            array, ours = array[..., 0, :], [name for name in ours if name != "batch"]
        array = array.transpose([ours.index(name) for name in theirs if name != "1"])
        for position, name in enumerate(theirs):
            if name == "1":
                array = np.expand_dims(array, position)
        return array

    def to_ours(self, name, array, steps):
        """The same backwards; steps: whether the array has that axis. name: for the message if its axes are other ones."""
        ours, theirs = self._orders(steps)
        array = np.asarray(array)
        if array.ndim != len(theirs):
            raise ValueError(f"{name} has shape {array.shape}, but the axes {' '.join(theirs)} were declared")
        ones = tuple(k for k, axis in enumerate(theirs) if axis == "1")
        if any(array.shape[k] != 1 for k in ones):
            raise ValueError(f"{name} has shape {array.shape}, but the axes {' '.join(theirs)} were declared")
        array, theirs = array.squeeze(ones), [axis for axis in theirs if axis != "1"]
        if "batch" not in theirs:
            array, theirs = array[None], ["batch", *theirs]
        return array.transpose([theirs.index(axis) for axis in ours])

    def _orders(self, steps):
        ours, theirs = ["steps", "batch", "features"], self.names
        return (ours, theirs) if steps else (ours[1:], [name for name in theirs if name != "steps"])
