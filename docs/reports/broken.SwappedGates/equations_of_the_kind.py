"""SwappedGates breaks the law equations_of_the_kind:

    apply(x, s) = RNN: tanh([x, h] W + b); LSTM: c' = f c + i g, h' = o tanh(c'); GRU: u (n - h) + h, n = tanh(a + r s)

Exits with 1 while the cell is broken, with 0 once it is fixed, and with 2 if it cannot run.
"""

import sys
from pathlib import Path

import numpy as np


def cannot_run(*error):
    sys.__excepthook__(*error)
    sys.exit(2)


sys.excepthook = cannot_run
HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE / '../../../tests/guests'))
sys.path.insert(1, str(HERE / '../../..'))
from broken import SwappedGates as Guest

np.seterr(all="ignore")

cell = Guest(1, 1)
W = np.array([[0, 1, 0, 1], [0, 0, 0, 0]], float)
b = np.array([0, 0, 0, 0], float)
for w, new in zip(cell.weights, [W, b]): w[...] = new
x = np.array([[1]], float)
c = np.array([[0]], float)
h = np.array([[0]], float)
out1 = cell.apply(x, c, h)
got = np.asarray(out1[0])
expected = np.array([[0.3807970779778824]], float)
bound = 3.552713678800501e-15
with np.errstate(all="ignore"):
    near = (got == expected) | (np.abs(got - expected) <= bound) | (np.isnan(got) & np.isnan(expected))
print("got      ", np.asarray(got).tolist())
print("expected ", np.asarray(expected).tolist())
print("bound    ", bound)
sys.exit(not np.all(near))
