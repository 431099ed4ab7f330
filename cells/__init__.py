"""Cells under test: the contract, the activations, one cell a file.

For example `cells.LSTM(input_features=3, state_size=2, rng=0)`.
"""

from cellcheck.cells.contract import Cell, Gradients
from cellcheck.cells.gru import GRU
from cellcheck.cells.lift import lift
from cellcheck.cells.lstm import LSTM
from cellcheck.cells.rnn import RNN
from cellcheck.cells.unroll import Unroll

CELLS = [RNN, LSTM, GRU, Unroll(RNN), Unroll(LSTM), Unroll(GRU)]

__all__ = ["CELLS", "GRU", "LSTM", "RNN", "Cell", "Gradients", "Unroll", "lift"]
