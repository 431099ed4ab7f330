"""The minimal LSTM of Feng et al., "Were RNNs All We Needed?" (arXiv 2410.01201, 2024), section 3.2, gates normalised."""

from cellcheck.cells.activations import d_sigmoid, log_sigmoid, sigmoid
from cellcheck.cells.modern.linear import Linear


class MinLSTM(Linear):
    """[f i n] = x W + b;  F = sigmoid(f), I = sigmoid(i);  h' = F / (F + I) h + I / (F + I) n.

    W is (features, 3 state), b (3 state,), in the order forget, input, candidate. With d = log F - log I, the two shares are
    sigmoid(d) and sigmoid(-d): no quotient of two numbers that may both underflow.
    """

    kind = "minLSTM"

    @property
    def widths(self):
        """Columns of f, i and n."""
        return (self.state_size,) * 3

    def decay_and_input(self, f, i, n):
        """F / (F + I), and I / (F + I) n."""
        d = log_sigmoid(f) - log_sigmoid(i)
        return sigmoid(d), sigmoid(-d) * n

    def through(self, da, db, f, i, n):
        """Upstreams for f, i and n."""
        d = log_sigmoid(f) - log_sigmoid(i)
        dd = (da - db * n) * d_sigmoid(d)
        return [dd * sigmoid(-f), -dd * sigmoid(-i), db * sigmoid(-d)], []
