"""Cells under test: the contract, the activations, one cell a file.

For example `cells.LSTM(input_features=3, state_size=2, rng=0)`.
"""

from .contract import Cell, Gradients
from .gru import GRU
from .lift import lift
from .lstm import LSTM
from .rnn import RNN
from .unroll import Unroll

CELLS = [RNN, LSTM, GRU, Unroll(RNN), Unroll(LSTM), Unroll(GRU)]

__all__ = ["CELLS", "GRU", "LSTM", "RNN", "Cell", "Gradients", "Unroll", "lift"]
