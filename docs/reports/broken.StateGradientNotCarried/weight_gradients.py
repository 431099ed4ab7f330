"""StateGradientNotCarried breaks the law weight_gradients:

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
sys.path.insert(1, str(HERE / '../../..'))
from broken import StateGradientNotCarried as Guest

np.seterr(all="ignore")

cell = Guest(1, 1)
W = np.array([[0], [1]], float)
b = np.array([0], float)
for w, new in zip(cell.weights, [W, b]): w[...] = new
x = np.array([[[0]], [[0]]], float)
h = np.array([[0]], float)
out1 = cell.apply(x, h)
d_h = np.array([[-1]], float)
d_ys = np.array([[[0]], [[0]]], float)
out2 = cell.vjp(d_h, d_ys)
got = np.asarray(out2[0][1])
expected = np.array([-2], float)
bound = 3.050986079552223e-14
with np.errstate(all="ignore"):
    near = (got == expected) | (np.abs(got - expected) <= bound) | (np.isnan(got) & np.isnan(expected))
print("got      ", np.asarray(got).tolist())
print("expected ", np.asarray(expected).tolist())
print("bound    ", bound)
sys.exit(not np.all(near))
