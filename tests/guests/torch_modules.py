"""torch's recurrent modules behind the contract, in float64 and in float32: guests of `tox -e frameworks`."""

import numpy as np
import torch
from cellcheck.cells.adapters import torch_module

RNNCell = torch_module(torch.nn.RNNCell)
LSTMCell = torch_module(torch.nn.LSTMCell)
GRUCell = torch_module(torch.nn.GRUCell)
RNN = torch_module(torch.nn.RNN)
LSTM = torch_module(torch.nn.LSTM)
GRU = torch_module(torch.nn.GRU)
RNNCell32 = torch_module(torch.nn.RNNCell, dtype=np.float32)
LSTMCell32 = torch_module(torch.nn.LSTMCell, dtype=np.float32)
GRUCell32 = torch_module(torch.nn.GRUCell, dtype=np.float32)
RNN32 = torch_module(torch.nn.RNN, dtype=np.float32)
LSTM32 = torch_module(torch.nn.LSTM, dtype=np.float32)
GRU32 = torch_module(torch.nn.GRU, dtype=np.float32)
