"""A keras 3 layer on the jax backend as a cell: its trainable variables are the weights, jax.vjp is its backward."""

from functools import cache

import jax
import keras
import numpy as np
from cellcheck.cells.adapters import jax_function

NAMES = {1: ("h",), 2: ("c", "h")}  # of the states, by their number


def keras_layer(make, *, states=None, dtype=np.float32, **declared):
    """A factory (features, state) -> cell of a keras layer: a cell such as keras.layers.LSTMCell, or an RNN layer over a sequence.

    make: (features, state) -> the layer, whose floating dtype is `dtype` unless it says otherwise. states: names in the reverse of
    keras's order, so that the output is the last. declared: sizes, as jax_function has them, or any declaration of the contract.
    Each size has one layer, which all its cells share. Raises RuntimeError on another backend than jax; keras reads the environment variable KERAS_BACKEND when it is imported.
    """
    if keras.backend.backend() != "jax":
        raise RuntimeError(
            f"the backend of keras is {keras.backend.backend()}; set the environment variable KERAS_BACKEND to jax"
        )

    @cache  # keras takes long to build a layer
    def weights(features, state):
        before = keras.config.floatx()
        keras.config.set_floatx(np.dtype(dtype).name)
        try:
            with jax.enable_x64(np.dtype(dtype).itemsize == 8):
                layer = make(features, state)
                if not layer.built:
                    layer.build((None,) * (1 + _is_sequence(layer)) + (features,))
        finally:
            keras.config.set_floatx(before)
        if _is_sequence(layer):
            layer.return_sequences = layer.return_state = True
        return {"layer": layer, **{_name(v): v.value for v in layer.trainable_variables}}

    factories = []  # made with the first layer, which says what its states are

    def adapted(features, state):
        if not factories:
            layer = weights(features, state)["layer"]
            names = states or NAMES[1 if isinstance(layer.state_size, int) else len(layer.state_size)]
            options = {"states": names, "sequence": _is_sequence(layer), "dtype": dtype, **declared}
            factories.append(jax_function(weights, _call, **options))
        return factories[0](features, state)

    return adapted


def _is_sequence(layer):
    return isinstance(layer, keras.layers.RNN)


def _name(variable):
    return variable.path.partition("/")[2]


def _call(weights, x, *states):
    """What the layer returns for arrays of our axes, in our order."""
    layer = weights["layer"]
    variables = [weights[_name(v)] for v in layer.trainable_variables], [v.value for v in layer.non_trainable_variables]
    states = [*states[::-1]]
    if not _is_sequence(layer):
        (_, new), _ = layer.stateless_call(*variables, x, states)
        return tuple(new[::-1]) if isinstance(new, (list, tuple)) else (new,)
    (ys, *new), _ = layer.stateless_call(*variables, x.swapaxes(0, 1), initial_state=states)
    return *new[::-1], ys.swapaxes(0, 1)
