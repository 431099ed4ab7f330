"""h' = tanh(x W + h U + b) compiled by Numba, and a backward with one defect."""

import numba
import numpy as np


@numba.njit
def forward(x, h, W, U, b):
    """h'."""
    return np.tanh(np.dot(x, W) + np.dot(h, U) + b)


@numba.njit
def backward(x, h, W, U, new, dh):
    """dx, dh, dW, dU, db."""
    dz = dh * (1 - new * new)
    return np.dot(dz, W.T), np.dot(dz, U.T), np.dot(x.T, dz), np.dot(h.T, dz), dz.sum(axis=0)


@numba.njit
def backward_without_derivative(x, h, W, U, new, dh):
    """The defect: the derivative of tanh is left out of the gradient of U."""
    dx, dh_old, dW, _, db = backward(x, h, W, U, new, dh)
    return dx, dh_old, dW, np.dot(h.T, dh), db
