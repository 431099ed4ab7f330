"""Mutants of the equations: gates in another order, a gate inverted, a bias elsewhere. Gradients cannot see most."""

from cellcheck.properties.mutants.engine import Mutant

Z = "z = X @ self.W + self.b"
CELL = "sigmoid(f) * c + sigmoid(i) * tanh(g)"
LSTM_ACTIVATIONS = "from cellcheck.cells.activations import d_sigmoid, d_tanh, sigmoid, tanh\n"
RNN_ACTIVATIONS = "from cellcheck.cells.activations import d_tanh, tanh\n"
UPDATE = "sigmoid(a_u + s_u) * (n - h) + h"
CANDIDATE = "tanh(a_n + sigmoid(a_r + s_r) * s_n)"
HARD_SIGMOID = """from cellcheck.cells.activations import d_tanh, tanh

def sigmoid(z):
    return np.clip(0.2 * z + 0.5, 0, 1)

def d_sigmoid(z):
    return 0.2 * (np.abs(z) < 2.5)
"""
RELU = """
def tanh(z):
    return np.maximum(z, 0)

def d_tanh(z):
    return 1.0 * (z > 0)
"""

MUTANTS = [
    Mutant(
        "GatesDeclaredIOFG",
        "LSTM",
        'GATES = ("input", "forget", "output", "candidate")',
        'GATES = ("input", "output", "forget", "candidate")',
        "weights in the order i o f g are computed as i f o g",
        "CrispASR#106",
        "equations_of_the_kind",
    ),
    Mutant(
        "GatesDeclaredIFGO",
        "LSTM",
        'GATES = ("input", "forget", "output", "candidate")',
        'GATES = ("input", "forget", "candidate", "output")',
        "weights in the order i f g o are computed as i f o g",
        "CrispASR#106",
        "equations_of_the_kind",
    ),
    Mutant(
        "UnrolledGatesDeclaredFIOG",
        "UnrolledLSTM",
        'GATES = ("input", "forget", "output", "candidate")',
        'GATES = ("forget", "input", "output", "candidate")',
        "weights in the order f i o g are computed as i f o g, at every step",
        "97 hand-written cells: wrong gate order",
        "equations_of_the_kind",
        "lstm",
    ),
    Mutant(
        "InputAndForgetSwapped",
        "LSTM",
        CELL,
        "sigmoid(i) * c + sigmoid(f) * tanh(g)",
        "the input gate forgets, the forget gate admits",
        "97 hand-written cells: wrong gate order",
        "equations_of_the_kind",
    ),
    Mutant(
        "OutputBiasForAllGates",
        "LSTM",
        Z,
        "z = X @ self.W + np.tile(self.b[2 * self.state_size : 3 * self.state_size], 4)",
        "every gate uses b_o",
        "numpy-ml#42",
        "equations_of_the_kind",
    ),
    Mutant(
        "ForgetBiasAfterTheSigmoid",
        "LSTM",
        CELL,
        "(sigmoid(f) + 1) * c + sigmoid(i) * tanh(g)",
        "the forget bias is added to the gate instead of its pre-activation",
        "tvm#3410",
        "equations_of_the_kind",
    ),
    Mutant(
        "HiddenForgetBias",
        "LSTM",
        Z,
        Z + " + np.repeat([0.0, 1.0, 0.0, 0.0], self.state_size)",
        "a forget bias of 1 that no weight holds; the gradients are right",
        "tvm#3410",
        "equations_of_the_kind",
    ),
    Mutant(
        "CoupledGates",
        "LSTM",
        CELL,
        "sigmoid(f) * c + sigmoid(-f) * tanh(g)",
        "the input gate is silently 1 - forget",
        "dynet#154",
        "equations_of_the_kind",
    ),
    Mutant(
        "OutputGatePeeksAtOldCell",
        "LSTM",
        "return c_new, sigmoid(o) * tanh(c_new)",
        "return c_new, sigmoid(o + c) * tanh(c_new)",
        "a peephole onto the cell before the step",
        "ConvLSTM-Pytorch#1",
        "equations_of_the_kind",
    ),
    Mutant(
        "PeepholeAfterTheSigmoid",
        "LSTM",
        CELL,
        "sigmoid(f) * c + (sigmoid(i) + c) * tanh(g)",
        "the peephole is added to the gate instead of its pre-activation",
        "Lasagne#448",
        "equations_of_the_kind",
    ),
    Mutant(
        "HardSigmoid",
        "LSTM",
        LSTM_ACTIVATIONS,
        HARD_SIGMOID,
        "clip(0.2 z + 0.5, 0, 1) for the sigmoid, with its own derivative",
        "keras 2cae421",
        "equations_of_the_kind",
    ),
    Mutant(
        "GatesThroughTanh",
        "LSTM",
        LSTM_ACTIVATIONS,
        "from cellcheck.cells.activations import d_tanh, tanh\nfrom .activations import d_tanh as d_sigmoid, tanh as sigmoid\n",
        "tanh where the sigmoid belongs, with its own derivative",
        "97 hand-written cells: wrong activation",
        "equations_of_the_kind",
    ),
    Mutant(
        "OutputWithoutTanh",
        "LSTM",
        "return c_new, sigmoid(o) * tanh(c_new)",
        "return c_new, sigmoid(o) * c_new",
        "h' = sigmoid(o) c'",
        "97 hand-written cells: wrong equation",
        "equations_of_the_kind",
    ),
    Mutant(
        "OutputFromOldCell",
        "LSTM",
        "return c_new, sigmoid(o) * tanh(c_new)",
        "return c_new, sigmoid(o) * tanh(c)",
        "h' = sigmoid(o) tanh(c)",
        "97 hand-written cells: wrong tensor",
        "equations_of_the_kind",
    ),
    Mutant(
        "CandidateThroughSigmoid",
        "LSTM",
        CELL,
        "sigmoid(f) * c + sigmoid(i) * sigmoid(g)",
        "the candidate is squashed to (0, 1)",
        "97 hand-written cells: wrong activation",
        "equations_of_the_kind",
    ),
    Mutant("BiasMissing", "LSTM", Z, "z = X @ self.W", "b is never added", "mxnet#17872", "equations_of_the_kind"),
    Mutant(
        "StatesReturnedInOtherOrder",
        "LSTM",
        "return c_new, sigmoid(o) * tanh(c_new)",
        "return sigmoid(o) * tanh(c_new), c_new",
        "h' where c' is declared, and the other way round",
        "onnxscript#2852",
        "equations_of_the_kind",
    ),
    Mutant(
        "RowsDeclaredStateFirst",
        "LSTM",
        'rows = {"x": np.s_[:F], "h": np.s_[F:]}',
        'rows = {"h": np.s_[:S], "x": np.s_[S:]}',
        "weights for [h, x] are multiplied by [x, h]",
        "97 hand-written cells: wrong order",
        "equations_of_the_kind",
    ),
    Mutant(
        "Relu",
        "RNN",
        RNN_ACTIVATIONS,
        RELU,
        "max(z, 0) for tanh, with its own derivative",
        "keras 2cae421",
        "equations_of_the_kind",
    ),
    Mutant(
        "BiasAfterTheTanh",
        "RNN",
        Z + "\n        self._cache = X, z\n        return (tanh(z),)",
        "z = X @ self.W\n        self._cache = X, z\n        return (tanh(z) + self.b,)",
        "h' = tanh([x, h] W) + b",
        "tvm#3410",
        "equations_of_the_kind",
    ),
    Mutant("RNNBiasMissing", "RNN", Z, "z = X @ self.W", "b is never added", "mxnet#17872", "equations_of_the_kind"),
    Mutant(
        "BiasTwice",
        "RNN",
        Z,
        Z + " + self.b",
        "b is added twice, as if it stood for two biases",
        "mxnet#17872",
        "equations_of_the_kind",
    ),
    Mutant(
        "RNNRowsDeclaredStateFirst",
        "RNN",
        '{("x", "candidate"): np.s_[:F], ("h", "candidate"): np.s_[F:]}',
        '{("h", "candidate"): np.s_[: self.state_size], ("x", "candidate"): np.s_[self.state_size :]}',
        "weights for [h, x] are multiplied by [x, h]",
        "97 hand-written cells: wrong order",
        "equations_of_the_kind",
    ),
    Mutant(
        "ResetBeforeTheProduct",
        "GRU",
        "n = " + CANDIDATE,
        "N = np.s_[..., 2 * self.state_size :]\n"
        "        n = tanh(a_n + (sigmoid(a_r + s_r) * h) @ self.W_state[N] + self.b_state[N])",
        "the reset gate acts on h, not on h W_state",
        "burn#2701, onnxscript#2852",
        "equations_of_the_kind",
    ),
    Mutant(
        "StateBiasOutsideTheReset",
        "GRU",
        "n = " + CANDIDATE,
        "b_n = self.b_state[2 * self.state_size :]\n        n = tanh(a_n + sigmoid(a_r + s_r) * (s_n - b_n) + b_n)",
        "the reset gate leaves the candidate's state bias alone",
        "onnxscript#2852",
        "equations_of_the_kind",
    ),
    Mutant(
        "UpdateInverted",
        "GRU",
        UPDATE,
        "sigmoid(-a_u - s_u) * (n - h) + h",
        "h' = (1 - u) n + u h under the same declaration",
        "keras#14649, undeclared",
        "equations_of_the_kind",
    ),
    Mutant(
        "UpdateTimesOnePlusUpdate",
        "GRU",
        UPDATE,
        "sigmoid(a_u + s_u) * (1 + sigmoid(-a_u - s_u)) * n + sigmoid(-a_u - s_u) * h",
        "h' = n (1 - z)(1 + z) + z h",
        "mlx#952",
        "equations_of_the_kind",
    ),
    Mutant(
        "ResetAndUpdateDeclaredSwapped",
        "GRU",
        'GATES = ("reset", "update", "candidate")',
        'GATES = ("update", "reset", "candidate")',
        "weights in the order u r n are computed as r u n",
        "openvino#17651",
        "equations_of_the_kind",
    ),
    Mutant(
        "BiasesInAnotherOrderThanWeights",
        "GRU",
        'for gate in GATES} for source in ("x", "h", "bias_x", "bias_h")]',
        'for gate in GATES} for source in ("x", "h")] + [\n'
        '            dict(zip([(b, "update"), (b, "reset"), (b, "candidate")], columns.values())) for b in ("bias_x", "bias_h")\n'
        "        ]",
        "weights in the order r u n, biases in the order u r n",
        "openvino#17651",
        "equations_of_the_kind",
    ),
    Mutant(
        "StateBiasSkippedForFreshRows",
        "GRU",
        "s = h @ self.W_state + self.b_state",
        "s = h @ self.W_state + self.b_state * h.any(axis=1, keepdims=True)",
        "b_state is left out of rows that start from zeros",
        "mlx#3249",
        "equations_of_the_kind",
    ),
    Mutant(
        "SplitByFeatures",
        "GRU",
        "S = self.state_size\n",
        "S = self.input_features\n",
        "gates are cut by the number of features, right where features = state",
        "pytorch#78945",
        "equations_of_the_kind",
    ),
    Mutant(
        "CandidateWithoutTanh",
        "GRU",
        "n = " + CANDIDATE,
        "n = " + CANDIDATE[4:],
        "n = a_n + r s_n",
        "97 hand-written cells: wrong activation",
        "equations_of_the_kind",
    ),
    Mutant(
        "UnrolledUpdateInverted",
        "UnrolledGRU",
        UPDATE,
        "sigmoid(-a_u - s_u) * (n - h) + h",
        "h' = (1 - u) n + u h at every step",
        "keras#14649, undeclared",
        "equations_of_the_kind",
        "gru",
    ),
]
