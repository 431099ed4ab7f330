"""Verify a port beside its original, at the weights that both hold and at drawn ones."""

import copy

import numpy as np

from cellcheck.cells import lift
from cellcheck.cells.adapters import torch_module
from cellcheck.checking import check
from cellcheck.options import OptionError

NAMES = (("input_size", "hidden_size"), ("input_features", "state_size"), ("features", "state"))  # of the sizes of an instance


def check_port(cell, original, profile="default", laws=None, *, sizes=None, translate=None, **how):
    """Verify that a cell equals its original, at the weights that they hold, such as those of a checkpoint, and at drawn ones.

    cell: an instance of a cell; original: a torch module, or another instance of a cell. sizes: (features, state) of both, where
    neither of them says so. translate: a function from the weights of the cell, a list, to those of the original. The rest as
    of `check`. Returns its Result. One problem in three has the given weights. Both instances are copied and stay as they are.

    Raises GuestError if the two cannot be compared or hold other weights, OptionError if the sizes are not known.
    """
    features, state = sizes or _sizes(cell, original)
    only = {"sizes": {"features": (features,), "state": (state,)}}

    def port(features, state):
        return copy.deepcopy(cell)

    def first(features, state):
        return copy.deepcopy(original)

    Original = torch_module(first) if hasattr(original, "named_parameters") else first
    Original.__name__ = type(original).__name__
    given = tuple(np.array(w) for w in cell.weights)
    port.__name__, port.__doc__ = type(cell).__name__, type(cell).__doc__
    Port = lift(port, **only, given=given, **({"translate": translate} if translate else {}))
    return check(Port, profile, laws, reference=lift(Original, **only), **how)


def _sizes(*instances):
    """(features, state) as one of these instances has them."""
    for names in NAMES:
        for one in instances:
            if all(isinstance(getattr(one, name, None), int) for name in names):
                return tuple(getattr(one, name) for name in names)
    raise OptionError("check_port: neither of the two says its sizes; give sizes=(features, state)")
