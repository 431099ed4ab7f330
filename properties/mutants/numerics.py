"""Mutants of arithmetic: overflow, lost tails, clipping, float32 buffers, small relative errors."""

from cellcheck.properties.mutants.engine import Mutant

LSTM_ACTIVATIONS = "from cellcheck.cells.activations import d_sigmoid, d_tanh, sigmoid, tanh\n"
RNN_ACTIVATIONS = "from cellcheck.cells.activations import d_tanh, tanh\n"
CELL = "c_new = sigmoid(f) * c + sigmoid(i) * tanh(g)"
HAND = "97 hand-written cells: "


def instead(line, name, formula):
    """The import `line` with one activation defined by a formula of z after it."""
    return f"{line}\n\ndef {name}(z):\n    return {formula}\n"


def lstm(name, activation, formula, fault, source, law):
    """An LSTM with another formula of one activation."""
    return Mutant(name, "LSTM", LSTM_ACTIVATIONS, instead(LSTM_ACTIVATIONS, activation, formula), fault, source, law)


def rnn(name, activation, formula, fault, source, law):
    """An RNN with another formula of one activation."""
    return Mutant(name, "RNN", RNN_ACTIVATIONS, instead(RNN_ACTIVATIONS, activation, formula), fault, source, law)


MUTANTS = [
    lstm(
        "SigmoidByTanh",
        "sigmoid",
        "0.5 * (1 + np.tanh(z / 2))",
        "the left tail ends at -37 in steps of 1e-16",
        "ComputeLibrary#779",
        "activations_of_the_cell_keep_their_tails",
    ),
    lstm(
        "SigmoidToTwelveDigits",
        "sigmoid",
        "np.where(z.real > 0, 1, 1 - 1e-14) / (1 + np.exp(-z))",
        "the left half is wrong by 1e-14",
        "ComputeLibrary#779",
        "activations_of_the_cell",
    ),
    rnn(
        "DerivativeLostBeyond19",
        "d_tanh",
        "1 - np.tanh(z) ** 2",
        "1 - tanh^2 is zero beyond 19",
        "the gist",
        "derivatives_of_the_cell_keep_their_tails",
    ),
    Mutant(
        "EpsilonInGradient",
        "GRU",
        "da = np.concatenate([dr, du, dn], axis=1)",
        "da = np.concatenate([dr, du, dn], axis=1) + 1e-20",
        "1e-20 is added to every gradient",
        "tensorflow#21929",
        "vjp_scales",
    ),
    lstm(
        "SigmoidOverflowsToNaN",
        "sigmoid",
        "np.exp(z) / (1 + np.exp(z))",
        "inf / inf beyond 710",
        "dynet#1525",
        "outputs_are_finite",
    ),
    lstm(
        "SigmoidTailClipped",
        "sigmoid",
        "1 / (1 + np.exp(-np.clip(z, -20, 20)))",
        "the sigmoid is valid only to +-20",
        "ComputeLibrary#779",
        "equations_of_the_kind",
    ),
    lstm(
        "SigmoidHalfBeyond88",
        "sigmoid",
        "np.where(np.abs(z) > 88, 0.5, 1 / (1 + np.exp(-z)))",
        "0.5 beyond +-88",
        "dynet#1525",
        "equations_of_the_kind",
    ),
    lstm(
        "SigmoidGradientOverflows",
        "d_sigmoid",
        "np.exp(-z) / (1 + np.exp(-z)) ** 2",
        "inf / inf at large negative z",
        "candle#1722",
        "gradients_are_finite",
    ),
    lstm(
        "CoshOverflows",
        "d_tanh",
        "1 / np.cosh(z) ** 2",
        "the right value with an overflow flag",
        "ocropy#79",
        "no_flag_but_underflow",
    ),
    lstm(
        "DerivativeHasAFloor",
        "d_sigmoid",
        "1 / (2 + 2 * np.cosh(np.clip(z, -700, 700))) + 1e-8",
        "an epsilon where none belongs",
        "tensorflow#21929",
        "weight_gradients",
    ),
    lstm(
        "DerivativeByDifferences",
        "d_tanh",
        "(np.tanh(z + 1e-5) - np.tanh(z - 1e-5)) / 2e-5",
        "a difference quotient for the derivative, wrong by 1e-10",
        "skala#79",
        "weight_gradients",
    ),
    rnn(
        "TanhOffInTheTail",
        "tanh",
        "np.tanh(z) * (1 - 0.1 * (np.abs(z) > 6))",
        "10 % off beyond 6",
        "ComputeLibrary#779",
        "equations_of_the_kind",
    ),
    rnn(
        "TanhClamped",
        "tanh",
        "np.tanh(np.clip(z, -9, 9))",
        "tanh is valid only to +-9: 3e-8 off",
        "ComputeLibrary#779",
        "equations_of_the_kind",
    ),
    rnn(
        "DerivativeLostInTheTail",
        "d_tanh",
        "np.where(np.abs(z) > 8, 0, 1 - np.tanh(z) ** 2)",
        "no gradient beyond 8",
        "ComputeLibrary#779",
        "weight_gradients",
    ),
    Mutant(
        "CellClipped",
        "LSTM",
        CELL,
        CELL.replace("= ", "= np.clip(", 1) + ", -20, 20)",
        "|c| never exceeds 20",
        HAND + "clip",
        "equations_of_the_kind",
    ),
    Mutant(
        "OneGateOffInForward",
        "LSTM",
        CELL,
        CELL.replace("sigmoid(i)", "1.000001 * sigmoid(i)"),
        "the input gate is wrong by 1e-6",
        "wrong below the 1e-3 line of difference checks",
        "equations_of_the_kind",
    ),
    Mutant(
        "Float32Buffer",
        "LSTM",
        "z = X @ self.W + self.b",
        "z = (X @ self.W + self.b).astype(np.float32).astype(X.dtype)",
        "pre-activations pass through float32",
        HAND + "float32 buffers (8)",
        "equations_of_the_kind",
    ),
    Mutant(
        "Float32Gradients",
        "RNN",
        "dz = dh * d_tanh(z)",
        "dz = (dh * d_tanh(z)).astype(np.float32).astype(dh.dtype)",
        "dz passes through float32",
        HAND + "float32 buffers (8)",
        "weight_gradients",
    ),
    Mutant(
        "Float32Accumulator",
        "UnrolledGRU",
        "np.zeros_like(x)",
        "np.zeros(x.shape, np.float32)",
        "dx is collected in float32",
        HAND + "float32 buffers (8)",
        "input_gradients",
    ),
    Mutant(
        "GradientClipped",
        "GRU",
        "weights = [x.T @ da,",
        "weights = [np.clip(x.T @ da, -1, 1),",
        "dW is clipped at 1",
        HAND + "clip inside backward (16)",
        "weight_gradients",
    ),
    Mutant(
        "SmallGradientsFlushed",
        "RNN",
        "dz = dh * d_tanh(z)",
        "dz = dh * d_tanh(z)\n        dz = np.where(np.abs(dz) < 1e-18, 0, dz)",
        "gradients below 1e-18 are zero",
        "pytorch#2211",
        "vjp_scales",
    ),
    Mutant(
        "OutputOffByAConstant",
        "GRU",
        "return (sigmoid(a_u + s_u) * (n - h) + h,)",
        "return (sigmoid(a_u + s_u) * (n - h) + h + 1e-7,)",
        "h' is off by 1e-7",
        HAND + "float32 buffers (8)",
        "equations_of_the_kind",
    ),
]
