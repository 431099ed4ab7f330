"""StateGradientNotCarried breaks the law weight_gradients:

    <vjp(u).weights, v> = d/dt <u, apply(x, s; W + t v)> at t = 0

Prints what the cell computes, what is expected and the bound. Exits with 1 while the cell is broken, with 0 when it is fixed.
"""

import sys
from pathlib import Path

import numpy as np

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE / '../../../properties/meta/guests'))
sys.path.insert(1, str(HERE / '../../..'))
from broken import StateGradientNotCarried as Guest

np.seterr(all="ignore")

cell = Guest(1, 1)
W = np.array([[0], [-1]], float)
b = np.array([-1], float)
for w, new in zip(cell.weights, [W, b]): w[...] = new
x = np.array([[[0]], [[0]]], float)
h = np.array([[0]], float)
out1 = cell.apply(x, h)
d_h = np.array([[-1]], float)
d_ys = np.array([[[0]], [[0]]], float)
out2 = cell.vjp(d_h, d_ys)
got = np.asarray(out2[0][1])
expected = np.array([-0.5482686403218093], float)
bound = 1.0108183878859281e-14
print("got      ", np.asarray(got).tolist())
print("expected ", np.asarray(expected).tolist())
print("bound    ", bound)
sys.exit(bool(np.shape(got) != np.shape(expected) or not np.all(np.abs(got - expected) <= bound)))
