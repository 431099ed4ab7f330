"""keras's cells behind the contract, and one whose states take no gradient: guests of `tox -e frameworks-keras`."""

import jax
import keras
from cellcheck.cells.adapters import keras_layer


class Detached(keras.layers.LSTMCell):
    """The defect: no gradient goes back through the states."""

    def call(self, inputs, states, training=False):
        """The output and the new states."""
        return super().call(inputs, [jax.lax.stop_gradient(s) for s in states], training=training)


LSTMCell = keras_layer(lambda F, S: keras.layers.LSTMCell(S))
GRUCell = keras_layer(lambda F, S: keras.layers.GRUCell(S))
SimpleRNNCell = keras_layer(lambda F, S: keras.layers.SimpleRNNCell(S))
LSTM = keras_layer(lambda F, S: keras.layers.LSTM(S))
GRU = keras_layer(lambda F, S: keras.layers.GRU(S))
DetachedLSTMCell = keras_layer(lambda F, S: Detached(S))
