"""A step cell over some steps, its gradients by backpropagation through its own vjp."""

from dataclasses import replace

import numpy as np
from cellcheck.cells.contract import Gradients
from cellcheck.properties.oracles.analytic import Analytic


class Chained:
    """A cell whose apply is `steps` steps of another on one x, with an upstream for the last output alone.

    What a stabiliser m scales, such as c and n with c exp(m) and n exp(m) fixed, depends on m; the output does not. So if vjp
    treats m as a constant, its gradients of c' and n' alone are no derivatives, but those of the output of any run are: there
    the choice of m cancels. Upstreams for c' and n' arise between the steps. A sequence cell is its own chain.
    """

    def __init__(self, cell, steps):
        """cell: a Lifted; steps: 1 or more."""
        outputs = [
            replace(y, differentiable=y.differentiable and k == len(cell.spec.outputs) - 1)
            for k, y in enumerate(cell.spec.outputs)
        ]
        self.cell, self.steps, self.spec = cell, 1 if cell.spec.sequence else steps, replace(cell.spec, outputs=tuple(outputs))
        self._taken = []

    @property
    def weights(self):
        """The live weights of the cell."""
        return self.cell.weights

    def apply(self, x, *rest):
        """The outputs of the last step."""
        n, self._taken = len(self.spec.inputs) - 1, []
        analytic = any(isinstance(a, Analytic) for a in (*self.weights, x, *rest))
        for _ in range(self.steps):
            self._taken.append((x, rest))
            outputs = tuple(np.array(y) for y in self.cell.apply(x, *rest))
            new = outputs[: len(self.spec.states)]
            rest = (*rest[:n], *(s.view(Analytic) if analytic and s.dtype.kind == "c" else s for s in new))
        return outputs

    def vjp(self, *d_outputs):
        """Gradients of sum_k <d_outputs[k], apply(...)[k]> at the last apply. Each step is taken again before its vjp."""
        n, total = len(self.spec.inputs) - 1, None
        for x, rest in reversed(self._taken):
            outputs = self.cell.apply(x, *rest)
            weights, dx, d_rest = self.cell.vjp(*d_outputs)
            d_rest = [*(d_rest or ()), *[None] * len(rest)][: len(rest)]
            one = [*(weights or ()), dx, *d_rest[:n]]
            total = one if total is None else [a if b is None else a + b for a, b in zip(total, one)]
            d_state = [np.zeros_like(s) if d is None else d for d, s in zip(d_rest[n:], rest[n:])]
            kept = [d if y.differentiable else np.zeros_like(d) for d, y in zip(d_state, self.cell.spec.outputs)]
            d_outputs = (*kept, *(np.zeros_like(y) for y in outputs[len(d_state) :]))
        k = len(weights) if weights is not None else 0
        return Gradients(total[:k] if weights is not None else None, total[k], (*total[k + 1 :], *d_state))
