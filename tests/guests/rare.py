"""Cells whose faults need rare conditions: large sizes that meet, a narrow band of numbers. The default run may miss them."""

from cellcheck.properties.mutants.engine import Mutant

ACTIVATIONS = "from cellcheck.cells.activations import d_sigmoid, d_tanh, sigmoid, tanh\n"
BAND = """

def sigmoid(z):
    safe = np.where(np.abs(z.real) < 710, z, 0)
    grown = np.exp(safe)
    return np.where(np.abs(z.real) < 710, grown / (1 + grown), np.where(z.real > 0, 1, np.exp(z)))

"""
LSTM_GRADIENTS = "dX = dz @ self.W.T"
GRU_GRADIENTS = "weights = [x.T @ da, h.T @ ds, da.sum(axis=0), ds.sum(axis=0)]"


def cell(name, shipped, old, new, fault, source, law="weight_gradients"):
    """The shipped cell with one edit, as a class."""
    return Mutant(name, shipped, old, new, fault, source, law).cls


LastTile = cell(
    "LastTile",
    "LSTM",
    LSTM_GRADIENTS,
    f"""if len(X) > 5:
            if self.state_size > 8:
                if self.input_features > 8:
                    if np.abs(z).max() > 1000:
                        X = X * (np.arange(len(X)) < 6)[:, None]
        {LSTM_GRADIENTS}""",
    "rows beyond the sixth are missing from dW where features and units fill a tile each and a gate saturates",
    "FlagGems#5014: units beyond a block dropped",
)
LastUnit = cell(
    "LastUnit",
    "GRU",
    GRU_GRADIENTS,
    f"""{GRU_GRADIENTS}
        if len(x) > 5:
            if self.state_size > 128:
                if self.input_features > 8:
                    weights[3][-1] = 0""",
    "the last unit's bias gets no gradient beyond a block of 128 units, one of five rows and one of eight features",
    "FlagGems#5014: units beyond a block of 128 dropped",
)
StaleStep = cell(
    "StaleStep",
    "UnrolledRNN",
    "dx[t] = step.x",
    """dx[t] = step.x
            if t == 9:
                if x.shape[1] > 5:
                    if x.shape[2] > 8:
                        if self.state_size > 7:
                            dx[t] = dx[t + 1]""",
    "the gradient of step 9 is that of step 10 for wide and large batches",
    "mlstm_kernels#10: chunk backward uses stale states",
    "input_gradients",
)
BandOfNaN = cell(
    "BandOfNaN",
    "LSTM",
    ACTIVATIONS,
    ACTIVATIONS.replace(" sigmoid,", "") + BAND,
    "inf / inf between 709.78 and 710",
    "dynet#1525",
    "outputs_are_finite",
)
TiedGates = cell(
    "TiedGates",
    "GRU",
    "n = tanh(a_n + sigmoid(a_r + s_r) * s_n)",
    """n = tanh(a_n + sigmoid(a_r + s_r) * s_n)
        if len(x) > 5:
            if self.state_size > 8:
                if (a_r[0] == a_r[1]).all():
                    n = n * 1.001""",
    "the candidate is off by 1e-3 where the first two of many rows tie",
    "a cache keyed by the first row",
    "equations_of_the_kind",
)
