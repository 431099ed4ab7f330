"""The minimal GRU of Feng et al., "Were RNNs All We Needed?" (arXiv 2410.01201, 2024), section 3.1."""

from cellcheck.cells.activations import d_sigmoid, sigmoid
from cellcheck.cells.modern.linear import Linear


class MinGRU(Linear):
    """[z n] = x W + b;  h' = (1 - sigmoid(z)) h + sigmoid(z) n.

    W is (features, 2 state), b (2 state,), in the order update, candidate.
    """

    kind = "minGRU"

    @property
    def widths(self):
        """Columns of z and n."""
        return (self.state_size,) * 2

    def decay_and_input(self, z, n):
        """1 - sigmoid(z), and sigmoid(z) n."""
        return sigmoid(-z), sigmoid(z) * n

    def through(self, da, db, z, n):
        """Upstreams for z and n."""
        return [(db * n - da) * d_sigmoid(z), db * sigmoid(z)], []
