"""The real-gated linear recurrent unit of De et al., "Griffin" (arXiv 2402.19427, 2024), section 2.4."""

import numpy as np
from cellcheck.cells.activations import d_sigmoid, sigmoid, softplus
from cellcheck.cells.contract import standard_normal
from cellcheck.cells.modern.linear import Linear


class RGLRU(Linear):
    """[u r i] = x W + b;  log a = -8 softplus(Lambda) sigmoid(r);  h' = a h + sqrt(1 - a^2) sigmoid(i) u.

    W is (features, 3 state), b (3 state,), in the order input, recurrence gate, input gate; Lambda (state,).
    """

    kind = "RG-LRU"
    C = 8.0

    def __init__(self, input_features, state_size, *, rng=None, dtype=np.float64):
        """Standard normal W and Lambda, zero b."""
        rng = np.random.default_rng(rng)
        super().__init__(input_features, state_size, rng=rng, dtype=dtype)
        [self.Lambda] = standard_normal(rng, dtype, (state_size,))
        self.weights.append(self.Lambda)

    @property
    def widths(self):
        """Columns of u, r and i."""
        return (self.state_size,) * 3

    def decay_and_input(self, u, r, i):
        """a, and sqrt(1 - a^2) sigmoid(i) u."""
        log_a = -self.C * softplus(self.Lambda) * sigmoid(r)
        return np.exp(log_a), np.sqrt(-np.expm1(2 * log_a)) * sigmoid(i) * u

    def through(self, da, db, u, r, i):
        """Upstreams for u, r and i, and the gradient of Lambda. Where a rounds to 1, sqrt(1 - a^2) has no slope left."""
        speed = softplus(self.Lambda)
        log_a = -self.C * speed * sigmoid(r)
        a, root = np.exp(log_a), np.sqrt(-np.expm1(2 * log_a))
        slope = log_a / np.where(root > 0, root, 1)
        d = da * a * log_a - db * sigmoid(i) * u * a * a * slope  # of log(-log a): finite where that of a is not
        d_speed = sigmoid(self.Lambda) / np.where(speed > 0, speed, 1)  # of log speed
        d_Lambda = d.sum(axis=tuple(range(d.ndim - 1))) * d_speed
        return [db * root * sigmoid(i), d * sigmoid(-r), db * root * u * d_sigmoid(i)], [d_Lambda]
