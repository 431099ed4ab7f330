"""BiasNotSummedOverBatch breaks the law weight_gradients:

    <vjp(u).weights, v> = d/dt <u, apply(x, s; W + t v)> at t = 0

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
from gist import BiasNotSummedOverBatch as Guest

np.seterr(all="ignore")

cell = Guest(1, 1)
W_x = np.array([[0]], float)
W_h = np.array([[0]], float)
b = np.array([[0]], float)
for w, new in zip(cell.weights, [W_x, W_h, b]): w[...] = new
x = np.array([[0], [0]], float)
h = np.array([[0], [0]], float)
out1 = cell.forward(x, h)
out2 = cell.backward(0.0)
try:
    got = out2[2]
except (IndexError, TypeError):
    got = None
print("got      ", "nothing" if got is None else f"shape {np.shape(got)}")
print("expected  shape (1, 1)")
sys.exit(got is None or np.shape(got) != (1, 1))
