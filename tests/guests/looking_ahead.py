"""Layers without states whose outputs of a step are made of other steps: of earlier ones, of the next one, of all, of the number of steps."""

from typing import ClassVar

import numpy as np


class Mixed:
    """ys = tanh(mix(x) W), where row t of `mix(x)` holds the steps that count for step t."""

    sequence = True

    def __init__(self, features, state):
        self.W = np.zeros((features, state))
        self.weights = [self.W]

    def mixing(self, steps):
        """(step, step that counts for it): here the earlier ones, each half as much as the next."""
        age = np.subtract.outer(np.arange(steps), np.arange(steps))
        return np.where(age >= 0, 0.5 ** np.maximum(age, 0), 0)

    def apply(self, x):
        """The outputs of all steps."""
        self.mixed = np.einsum("tu,ubf->tbf", self.mixing(len(x)), x)
        self.ys = np.tanh(self.mixed @ self.W)
        return (self.ys.copy(),)

    def vjp(self, d_ys):
        """Through the transposed mix."""
        dz = d_ys * (1 - self.ys**2)
        return [np.einsum("tbf,tbs->fs", self.mixed, dz)], np.einsum("tu,tbf->ubf", self.mixing(len(dz)), dz @ self.W.T), ()


class ReadsOneAhead(Mixed):
    """The mask of the earlier steps begins one step too late."""

    def mixing(self, steps):
        """The next step counts as well."""
        return np.tri(steps, k=1)


class WithoutMask(Mixed):
    """All steps count for all."""

    def mixing(self, steps):
        """A mean."""
        return np.ones((steps, steps)) / max(steps, 1)


class BothWays(WithoutMask):
    """As it is meant to be."""

    choices: ClassVar = {"future": True}


class ByConvolution(Mixed):
    """The earlier steps, by a Fourier transform of all: what it rounds depends on the later ones."""

    def apply(self, x):
        """As the sum does, but for rounding."""
        n, steps = 2 * max(len(x), 1), len(x)
        kernel = np.fft.fft(0.5 ** np.arange(n // 2), n)[:, None, None]
        mixed = np.fft.ifft(np.fft.fft(x, n, axis=0) * kernel, axis=0)[:steps]
        self.mixed = mixed if np.iscomplexobj(x) else mixed.real
        self.ys = np.tanh(self.mixed @ self.W)
        return (self.ys.copy(),)


class Tokens(Mixed):
    """ys = E[x], a row of E for each token, and of the next one."""

    input_shape, domains, ahead = (), {"x": "tokens"}, 0.5

    def apply(self, x):
        """The outputs of all steps."""
        self.tokens, rows = x, self.W[x]
        return (rows + self.ahead * np.concatenate([rows[1:], 0 * rows[:1]]),)

    def vjp(self, d_ys):
        """To the rows of E."""
        dW, back = 0 * self.W, d_ys + self.ahead * np.concatenate([0 * d_ys[:1], d_ys[:-1]])
        np.add.at(dW, self.tokens, back)
        return [dW], None, ()


class TimedAhead(Mixed):
    """A step that depends on its number, and reads the one after it: its steps cannot be cut."""

    choices: ClassVar = {"time": True}

    def apply(self, x, h):
        """The last state, and the outputs."""
        self.h = h
        (ys,) = super().apply(x)
        self.ys = self.ys + h
        return (ys[-1] if len(ys) else 0 * h) + h, ys + h

    def mixing(self, steps):
        """The number of the step, and of the next."""
        return np.tri(steps, k=1) - np.tri(steps, k=-1) * (np.arange(steps) % 2)
