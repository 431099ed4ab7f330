"""What minGRU, minLSTM and RG-LRU have in common: h' = a h + b, where a and b depend on x alone."""

from cellcheck.cells.contract import Gradients
from cellcheck.cells.modern.gated import Gated


class Linear(Gated):
    """h' = a h + b; a subclass adds `decay_and_input(*gates)` -> (a, b) and `through(da, db, *gates)`.

    `through` returns the upstreams for the gates, and a list of gradients of the weights after W and b.
    """

    def decay_and_input(self, *gates):
        """(a, b), each (..., state), of the pre-activations."""
        raise NotImplementedError

    def through(self, da, db, *gates):
        """(upstreams for the gates, gradients of further weights) of upstreams for a and b."""
        raise NotImplementedError

    def _apply(self, x, h):
        gates = self.gates(x)
        a, b = self.decay_and_input(*gates)
        self._cache = h.copy(), x.copy(), a, gates
        return (a * h + b,)

    def _vjp(self, dh):
        h, x, a, gates = self._cache
        d_gates, more = self.through(dh * h, dh, *gates)
        weights, dx = self.through_gates(x, d_gates)
        return Gradients(weights + more, dx, (dh * a,))
