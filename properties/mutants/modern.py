"""Mutants of the modern cells and of their parallel forms: faults that real kernels and ports had, and some of our own.

They are a catalogue of their own: the cells are verified by `tox`, not by the default run.
"""

from dataclasses import dataclass

from cellcheck.cells.modern import MODERN
from cellcheck.properties.mutants.engine import Mutant, _module, replaced, text

ORDER = (  # each imports only from those before it
    *("contract", "activations", "unroll", "modern/gated", "modern/linear", "modern/chunks"),
    *("modern/peephole_lstm", "modern/projected_lstm", "modern/min_gru", "modern/min_lstm", "modern/rg_lru", "modern/slstm"),
    *("modern/mlstm", "modern/s6", "modern/gla", "modern/gated_delta"),
    *("modern/scan", "modern/mlstm_chunks", "modern/gated_delta_chunks"),
)
HOMES = {Cell.__name__: Cell.__module__.removeprefix("cellcheck.cells.").replace(".", "/") for Cell in MODERN}
OWN = "our own"
WEIGHTS, STATE, EQUATIONS, FINITE = "weight_gradients", "state_gradients", "equations_of_the_kind", "outputs_are_finite"
STEPS, RAGGED = "a_sequence_is_its_steps", "each_ragged_row_equals_its_solo_run"


@dataclass(frozen=True)
class Modern(Mutant):
    """A modern cell with one fault; `file` is the edited one, in cells/, by default that of the cell."""

    @property
    def edited(self):
        """The name of the edited file in cells/, without .py."""
        return self.file or HOMES[self.cell]

    @property
    def cls(self):
        """The broken class."""
        return executed(self.cell, self.edited, replaced(self.edited, self.old, self.new), self.name)


def executed(cell, file, source, name):
    """The modern cell as it would be, had cells/FILE.py this source; whatever may import from the file is executed anew."""
    modules: dict = {}
    for other in ORDER[ORDER.index(file) :]:
        dotted = other.replace("/", ".")
        modules[dotted] = _module(dotted, source if other == file else text(other), modules)
    Cell = getattr(modules[HOMES[cell].replace("/", ".")], cell)
    Cell.__name__ = name
    return Cell


def of(cell, file=""):
    """A function that makes mutants of this cell: (name, old, new, fault, source, law)."""
    return lambda *edit: Modern(edit[0], cell, *edit[1:], file)


peephole, projected = of("PeepholeLSTM"), of("ProjectedLSTM")
LSTMS = [
    peephole(
        "OutputGatePeeksAtOldCell",
        "o + p_o * c_new",
        "o + p_o * c",
        "the output gate looks at the old c",
        "ConvLSTM-Pytorch#1",
        EQUATIONS,
    ),
    peephole(
        "PeepholeAfterSigmoid",
        "c_new = sigmoid(f) * c",
        "c_new = (sigmoid(f - p_f * c) + p_f * c) * c",
        "the peephole is added behind the sigmoid",
        "Lasagne#448",
        EQUATIONS,
    ),
    peephole("PeepholesMixed", "f + p_f * c", "f + p_i * c", "f has the peephole of i", "numpy-ml#42", EQUATIONS),
    peephole("PeepholeOfOutputLost", " + do * p_o", "", "dc' lacks the way through o", "tensorflow#34171", WEIGHTS),
    peephole(
        "PeepholesLostInState", " + di * p_i + df * p_f", "", "dc lacks the ways through i and f", "tensorflow#34171", STATE
    ),
    peephole(
        "PeepholeGradientAveraged", "(df * c).sum(", "(df * c).mean(", "dp is a mean over the batch", "mlpack#3679", WEIGHTS
    ),
    peephole("PeepholeGradientOfOldCell", "(do * c_new)", "(do * c)", "dp_o is made of the old c", "tensorflow#34171", WEIGHTS),
    projected(
        "ActivatedProjection",
        "(sigmoid(o) * tanh(c_new)) @ self.R",
        "np.tanh((sigmoid(o) * tanh(c_new)) @ self.R)",
        "h is activated once more",
        "tvm#19633",
        EQUATIONS,
    ),
    projected(
        "ProjectionGradientUngated",
        "(sigmoid(o) * tanh(c_new)).T @ dh",
        "tanh(c_new).T @ dh",
        "dR lacks the output gate",
        OWN,
        WEIGHTS,
    ),
    projected(
        "ForgetGateLostInState",
        "(dc * sigmoid(f), dh)",
        "(dc, dh)",
        "dc is handed back undecayed",
        "rnn_lstm_from_scratch#1",
        STATE,
    ),
    projected(
        "ProjectedStateClipped",
        "* tanh(c_new)) @ self.R",
        "* tanh(c_new)) @ np.clip(self.R, -3, 3)",
        "R is clipped at 3",
        "onnxruntime#27224",
        EQUATIONS,
    ),
]

min_gru, min_lstm, rg_lru = of("MinGRU"), of("MinLSTM"), of("RGLRU")
ROOT = "np.sqrt(-np.expm1(2 * log_a)) * sigmoid(i) * u"
LINEAR = [
    min_gru(
        "UpdateExchanged",
        "sigmoid(-z), sigmoid(z) * n",
        "sigmoid(z), sigmoid(-z) * n",
        "z and 1 - z are exchanged",
        "keras#14649",
        EQUATIONS,
    ),
    min_gru("DecayGradientAdded", "(db * n - da)", "(db * n + da)", "the two ways through z have one sign", "mlx#952", WEIGHTS),
    min_gru("CandidateGradientUngated", "db * sigmoid(z)]", "db]", "dn lacks the update gate", "deeplearning4j#625", WEIGHTS),
    min_gru(
        "CandidateActivated",
        "sigmoid(z) * n\n",
        "sigmoid(z) * (2 * sigmoid(2 * n) - 1)\n",
        "n has a tanh",
        "burn#2701",
        EQUATIONS,
    ),
    min_lstm(
        "GatesNotNormalised",
        "return sigmoid(d), sigmoid(-d) * n",
        "return sigmoid(f), sigmoid(i) * n",
        "F and I are not divided by F + I",
        OWN,
        EQUATIONS,
    ),
    min_lstm(
        "QuotientOfGates",
        "return sigmoid(d), sigmoid(-d) * n",
        "return sigmoid(f) / (sigmoid(f) + sigmoid(i)), sigmoid(i) / (sigmoid(f) + sigmoid(i)) * n",
        "0 / 0 where both gates underflow",
        "dynet#1525",
        FINITE,
    ),
    min_lstm("NormaliserTakenForConstant", "-dd * sigmoid(-i)", "0 * dd", "di lacks the way through F + I", OWN, WEIGHTS),
    min_lstm(
        "GateDerivativeReversed",
        "[dd * sigmoid(-f)",
        "[dd * sigmoid(f)",
        "log sigmoid(f)' is taken for sigmoid(f)",
        "candle#1722",
        WEIGHTS,
    ),
    min_lstm(
        "LogSigmoidUnderflows",
        "import d_sigmoid, log_sigmoid, sigmoid\n",
        "import d_sigmoid, sigmoid\nimport numpy as np\n\n\ndef log_sigmoid(z):\n    return np.log(sigmoid(z))\n",
        "log of 0 where the gate underflows",
        "pytorch#2211",
        FINITE,
    ),
    rg_lru(
        "RootOfADifference",
        "np.exp(log_a), " + ROOT,
        "np.exp(log_a), np.sqrt(1 - np.exp(2 * log_a)) * sigmoid(i) * u",
        "1 - a^2 loses its digits where a is nearly 1",
        "skala#79",
        EQUATIONS,
    ),
    rg_lru("RootOfOneMinusA", ROOT, ROOT.replace("2 * ", ""), "sqrt(1 - a)", OWN, EQUATIONS),
    rg_lru("SlowerDecay", "C = 8.0", "C = 4.0", "the constant is 4", "keras 2cae421", EQUATIONS),
    rg_lru(
        "SlopeByDivision",
        "np.divide(log_a, root, out=np.zeros_like(root), where=root > 0)",
        "log_a / root",
        "0 / 0 where a rounds to 1",
        "candle#1722",
        "gradients_are_finite",
    ),
    rg_lru(
        "DecayGradientWithoutInputGate",
        "- db * sigmoid(i) * u * a",
        "- db * u * a",
        "the way through the root lacks the input gate",
        OWN,
        WEIGHTS,
    ),
    rg_lru(
        "RootTakenForConstant",
        " - db * sigmoid(i) * u * a * a * slope",
        "",
        "sqrt(1 - a^2) has no gradient",
        "fla#459",
        WEIGHTS,
    ),
    rg_lru(
        "LambdaGradientAveraged",
        "d.sum(axis=tuple(range(d.ndim - 1)))",
        "d.mean(axis=tuple(range(d.ndim - 1)))",
        "dLambda is a mean over the batch",
        "mlpack#3679",
        WEIGHTS,
    ),
    rg_lru(
        "SpeedGradientByDivision",
        "np.divide(sigmoid(self.Lambda), speed, out=np.ones_like(speed), where=speed > 0)",
        "sigmoid(self.Lambda) / speed",
        "0 / 0 where softplus(Lambda) underflows",
        "burn#5373",
        "gradients_are_finite",
    ),
    of("MinGRU", "modern/linear")("DecayLostInState", "(dh * a,))", "(dh,))", "dh is handed back undecayed", "fla#37", STATE),
    of("RGLRU", "modern/linear")(
        "DecayGradientOfNewState",
        "self.through(dh * h,",
        "self.through(dh * (a * h + dh),",
        "da is not made of the old h",
        "Neuron#181",
        WEIGHTS,
    ),
    of("MinLSTM", "modern/linear")(
        "StateNotCopied",
        "h.copy(), x.copy()",
        "h, x.copy()",
        "vjp reads the caller's h",
        "97 hand-written cells: aliases",
        "inputs_are_the_callers",
    ),
    of("GLA", "modern/gated")(
        "BiasGradientAveraged",
        "d.sum(axis=tuple(leading))",
        "d.mean(axis=tuple(leading))",
        "db is a mean over the batch",
        "mlpack#3679",
        WEIGHTS,
    ),
    of("MinGRUScan", "modern/gated")(
        "BiasGradientOfFirstStep",
        "d.sum(axis=tuple(leading))",
        "d.reshape(-1, *d.shape[-2:])[:1].sum(axis=(0, 1))",
        "db is that of the first step",
        "97 hand-written cells: bias",
        "vjp_of_a_sequence_may_be_split",
    ),
]

slstm, mlstm = of("SLSTM"), of("MLSTM")
EXPONENTS = "np.exp(old - m_new), np.exp(i - m_new)"
XLSTM = [
    slstm(
        "StabiliserDetached",
        "dm = dm - dc * c_new - dn * n_new",
        "dm = 0 * dm",
        "m takes no gradient, and does not say so",
        "xlstm kernels",
        STATE,
    ),
    slstm("StabiliserOfBoth", "dm * ~keeps", "dm", "dm goes to both sides of the maximum", "pytorch#11662", WEIGHTS),
    slstm("StabiliserOfNeither", "* keep + dm * keeps", "* keep", "dm does not reach the old m", "deeplearning4j#8838", STATE),
    slstm("NormaliserNotDecayed", "keep * n + write\n", "n + write\n", "n keeps what c forgets", OWN, EQUATIONS),
    slstm("NormaliserWithoutGradient", "dn - dy * y", "dn", "h' is differentiated as if n' were constant", OWN, WEIGHTS),
    slstm("NotStabilised", EXPONENTS, "np.exp(log_sigmoid(f)), np.exp(i)", "exp(i) overflows", "burn#5373", FINITE),
    slstm("ExponentialForgetGate", "log_sigmoid(f) + m", "f + m", "F = exp(f)", "keras 2cae421", EQUATIONS),
    slstm("StabiliserOfInputAlone", "np.where(old.real > i.real, old, i)", "i", "m' = i", OWN, FINITE),
    slstm(
        "StabiliserNotCarried", "log_sigmoid(f) + m)", "log_sigmoid(f) + 0 * m)", "the old m is not used", "burn#2701", EQUATIONS
    ),
    slstm("CandidateNotActivated", "+ write * tanh(g)", "+ write * g", "g has no tanh", OWN, EQUATIONS),
    mlstm(
        "MaxWithoutModulus",
        "np.abs(nq.real) > least",
        "nq.real > least",
        "a negative n q is taken for a small one",
        "PyxLSTM#15",
        EQUATIONS,
    ),
    mlstm(
        "NormaliserAtLeastOne",
        "np.exp(-m_new)",
        "np.ones_like(m_new)",
        "max(|n q|, 1) beside a stabiliser",
        "NX-AI/xlstm",
        EQUATIONS,
    ),
    mlstm("KeyNotScaled", "k, i, old = k / self.keys**0.5,", "k, i, old = k,", "k is not divided by sqrt(keys)", OWN, EQUATIONS),
    mlstm("QueryWritten", "(write * k)[:, :, None] * v", "(write * q)[:, :, None] * v", "C collects q v^T", "fla#623", EQUATIONS),
    mlstm("ForgetGateNotCapped", "log_sigmoid(self.capped(f)) + m", "log_sigmoid(f) + m", "f has no soft cap", OWN, EQUATIONS),
    mlstm(
        "ValueNotGatedInNormaliser",
        "n_new = keep * n + write * k",
        "n_new = keep * n + k",
        "n collects k without the input gate",
        OWN,
        EQUATIONS,
    ),
    mlstm("NormaliserGradientLost", "dn + d_nq * q", "dn", "dn lacks the way through n q", OWN, WEIGHTS),
    mlstm(
        "SignLost",
        ".sum(axis=1, keepdims=True) * sign\n",
        ".sum(axis=1, keepdims=True) * abs(sign)\n",
        "the modulus is differentiated as if n q were positive",
        OWN,
        WEIGHTS,
    ),
    mlstm(
        "SmallNormaliserDifferentiated",
        "_nq = -(d_sum * y).sum(axis=1, keepdims=True) * sign",
        "_nq = -(d_sum * y).sum(axis=1, keepdims=True) * np.where(sign == 0, 1, sign)",
        "the gradient passes where exp(-m') is larger",
        "pytorch#11662",
        WEIGHTS,
    ),
    mlstm("OldStabiliserWithoutGradient", "dn, d_old))", "dn, 0 * d_old))", "m gets no gradient", "deeplearning4j#8838", STATE),
    mlstm("KeyScaledOnce", "write * d_k / self.keys**0.5", "write * d_k", "dk lacks 1 / sqrt(keys)", OWN, WEIGHTS),
    mlstm(
        "QueryGradientOfOldMatrix",
        '"bkv,bv->bk", C_new, d_sum',
        '"bkv,bv->bk", C, d_sum',
        "dq is made of the old C",
        "Neuron#181",
        WEIGHTS,
    ),
    mlstm(
        "CapWithoutSlope",
        "d_i * d_tanh(i / self.CAP)",
        "d_i",
        "the soft cap of i is not differentiated",
        "onnxruntime#27224",
        WEIGHTS,
    ),
    mlstm(
        "OutputGateTwice",
        "dy * y * d_sigmoid(o)",
        "dy * y * sigmoid(o) * d_sigmoid(o)",
        "do holds the gate itself",
        "97 hand-written cells: applied twice",
        WEIGHTS,
    ),
]

s6, gla, delta = of("S6"), of("GLA"), of("GatedDelta")
LINEAR_ATTENTION = [
    s6(
        "DeltaLostAtInput", "(delta * u)[:, :, None] * B", "u[:, :, None] * B", "the input is not scaled by Delta", OWN, EQUATIONS
    ),
    s6(
        "SoftplusWithThreshold",
        "delta = softplus(t)\n",
        "delta = np.where(t.real > 20, t, softplus(t))\n",
        "Delta = t beyond 20: 2e-9 off",
        "torch-rnn#116",
        EQUATIONS,
    ),
    s6(
        "SoftplusOverflows",
        "delta = softplus(t)\n",
        "delta = np.log(1 + np.exp(t))\n",
        "infinite beyond 710",
        "burn#5373",
        FINITE,
    ),
    s6("SoftplusNotDifferentiated", "d_delta * sigmoid(t)", "d_delta", "dt is that of Delta", OWN, WEIGHTS),
    s6("SkipNotDifferentiated", " + dy * self.D,", ",", "du lacks the way through D u", "burn#5235", "input_gradients"),
    s6("LogarithmNotDifferentiated", ".sum(axis=0) * A\n", ".sum(axis=0)\n", "dA_log is -dA", OWN, WEIGHTS),
    s6(
        "DecayLostInDelta",
        "d_input * u + (d_exponent * A).sum(axis=2)",
        "d_input * u",
        "dDelta lacks the way through exp(Delta A)",
        "fla#459",
        WEIGHTS,
    ),
    s6(
        "ExactStepForB",
        "(delta * u)[:, :, None] * B",
        "(np.expm1(-delta[:, :, None] * np.exp(self.A_log)) / -np.exp(self.A_log) * u[:, :, None]) * B",
        "another discretisation of B",
        "mamba.py",
        EQUATIONS,
    ),
    s6("OldStateRead", '"bsn,bn->bs", h_new, C', '"bsn,bn->bs", h, C', "y is read before the update", OWN, EQUATIONS),
    gla("TemperatureLost", "log_sigmoid(a) / self.TAU", "log_sigmoid(a)", "alpha is the sigmoid itself", "fla#1115", EQUATIONS),
    gla("TemperatureLostInGradient", "sigmoid(-a) / self.TAU", "sigmoid(-a)", "da lacks 1 / tau", OWN, WEIGHTS),
    gla(
        "GateGradientOfOutputAlone",
        "da = (dS * S)",
        "da = (q[:, :, None] * dy[:, None, :] * S)",
        "da ignores the upstream of the state",
        "fla#459",
        WEIGHTS,
    ),
    gla("OldStateAnswers", '"bkv,bk->bv", S_new, q', '"bkv,bk->bv", S, q', "y is read before the update", OWN, EQUATIONS),
    gla("QueryNotScaledInGradient", "dy = dy / self.keys**0.5", "dy = +dy", "the scale of q is not differentiated", OWN, WEIGHTS),
    gla(
        "DecayByValue",
        "da = (dS * S).sum(axis=2)",
        "da = (dS * S_new).sum(axis=2)",
        "dalpha is made of the new S",
        "mlstm_kernels#10",
        WEIGHTS,
    ),
    gla("StateGradientNotDecayed", "(alpha[:, :, None] * dS,)", "(dS,)", "dS is handed back undecayed", "fla#37", STATE),
    gla(
        "SmallGateFlushed",
        "np.exp(log_sigmoid(a) / self.TAU)",
        "np.exp(np.maximum(log_sigmoid(a.real), -5) / self.TAU) + 0 * a",
        "the gate is clamped at -5",
        "fla#20",
        EQUATIONS,
    ),
    gla(
        "GateGradientNearlyRight",
        "sigmoid(-a) / self.TAU",
        "1.003 * sigmoid(-a) / self.TAU",
        "da is 0.3 % too large",
        "below the 0.005 of fla's tests",
        WEIGHTS,
    ),
    delta("DecayAfterErasing", "v - alpha * np.einsum", "v - np.einsum", "what is erased is not decayed first", OWN, EQUATIONS),
    delta(
        "NormWithoutEpsilon",
        "keepdims=True) + EPSILON)",
        "keepdims=True))",
        "0 / 0 for a key of zeros",
        "tensorflow#21929",
        FINITE,
    ),
    delta(
        "NormTakenForConstant",
        "(d - direction * (d * direction).sum(axis=-1, keepdims=True)) / length",
        "d / length",
        "the length of k is not differentiated",
        OWN,
        WEIGHTS,
    ),
    delta(
        "ErasureLostInState",
        " + k[:, :, None] * d_recalled[:, None, :],)",
        ",)",
        "dS lacks the way through what is erased",
        OWN,
        STATE,
    ),
    delta(
        "DecayGradientOfErasureLost",
        " - (beta * du * recalled).sum(axis=1, keepdims=True)",
        "",
        "dalpha lacks the way through what is erased",
        "fla#1115",
        WEIGHTS,
    ),
    delta("WriteStrengthLost", "beta * du, d_alpha", "du, d_alpha", "dv lacks beta", OWN, WEIGHTS),
    delta(
        "KeyGradientHalf",
        ' + np.einsum("bkv,bv->bk", S, d_recalled)',
        "",
        "dk lacks the way through what is erased",
        OWN,
        WEIGHTS,
    ),
    delta(
        "StrengthTwice",
        "u = sigmoid(b) * (v",
        "u = 2 * sigmoid(b) * (v",
        "beta is twice the sigmoid, as in some variants",
        "mlx#952",
        EQUATIONS,
    ),
    delta("StateGradientWithoutDecay", "(alpha[:, :, None] * dS + k", "(dS + k", "dS is handed back undecayed", "fla#37", STATE),
]

scan, rg_scan = of("MinGRUScan"), of("RGLRUScan")
SCANS = [
    scan(
        "CombinedInWrongOrder",
        "a[reach:] * b[:-reach] + b[reach:]",
        "a[:-reach] * b[reach:] + b[:-reach]",
        "a stretch is joined with the one after it",
        "axon#646",
        STEPS,
    ),
    scan(
        "DecayOfTheWrongSide",
        "a[reach:] * b[:-reach] + b[reach:]",
        "a[:-reach] * b[:-reach] + b[reach:]",
        "the earlier stretch decays by itself",
        "axon#646",
        STEPS,
    ),
    scan(
        "LastPassMissing",
        "while reach < len(a):",
        "while 2 * reach < len(a):",
        "the last pass is left out",
        "FlagGems#5014",
        STEPS,
    ),
    scan("InitialStateOfScanIgnored", "A * h + B", "0 * h + B", "the scan starts from zeros", "fla#351", STEPS),
    scan("PaddingDecays", "np.where(on, a, 1)", "+a", "padding masks the value, not the decay", "fla#1272", RAGGED),
    scan("PaddingAdds", "np.where(on, b, 0)", "b", "padding masks the decay, not the value", "keras#1300", RAGGED),
    scan(
        "ReverseScanReadsPadding",
        "dys = np.where(on, dys, 0)",
        "dys = +dys",
        "upstreams of padding are scanned",
        "mamba#368",
        "outputs_of_padding_are_zero",
    ),
    rg_scan(
        "ReverseDecayNotShifted",
        "np.concatenate([a[1:], np.ones_like(a[:1])])[::-1]",
        "a[::-1]",
        "g decays by a of its own step",
        "97 hand-written cells: time index",
        WEIGHTS,
    ),
    rg_scan(
        "FinalUpstreamIgnored",
        "(A * dh + B)",
        "(0 * A * dh + B)",
        "dh of the final state is lost",
        "deeplearning4j#8838",
        WEIGHTS,
    ),
    rg_scan(
        "OutputUpstreamIgnored",
        "np.ones_like(a[:1])])[::-1], dys[::-1])",
        "np.ones_like(a[:1])])[::-1], 0 * dys[::-1])",
        "only dh of the final state is used",
        "chainer#2505",
        WEIGHTS,
    ),
    rg_scan(
        "DecayGradientShifted",
        "g * hs[:-1]",
        "g * hs[1:]",
        "da is made of the new h",
        "97 hand-written cells: time index",
        WEIGHTS,
    ),
    rg_scan(
        "EmptySequenceFails",
        "(a[0] * g[0] if len(a) else dh.copy(),)",
        "(a[0] * g[0],)",
        "no step, no answer",
        "jax#17966",
        "no_steps_leave_the_state",
    ),
    rg_scan(
        "InitialGradientNotDecayed", "a[0] * g[0] if", "g[0] if", "dh of the initial state is that of the first", "fla#37", STATE
    ),
    scan("PaddedGatesDifferentiated", "np.where(on, g, 0)", "g", "b of padding has a gradient", "mamba#368", RAGGED),
    scan(
        "ScanByQuotients",
        "    reach = 1\n",
        "    whole = np.cumprod(a, axis=0)\n    return whole, whole * np.cumsum(b / whole, axis=0)\n    reach = 1\n",
        "b / (a_1 ... a_t) overflows",
        "fla#20",
        FINITE,
    ),
]

m_chunks, d_chunks = of("MLSTMChunks"), of("GatedDeltaChunks")
m_common, d_common = of("MLSTMChunks", "modern/chunks"), of("GatedDeltaChunks", "modern/chunks")
CHUNKS = [
    d_common(
        "DecaysByQuotients",
        "    return np.where(s <= r + 1, np.cumsum",
        "    g = np.cumsum(log_a, axis=-1)\n    g = np.concatenate([0 * g[..., :1], g], axis=-1)\n    return np.log(np.exp(g[..., 1:, None]) * np.exp(-g[..., None, :]) * (s <= r + 1))\n    return np.where(s <= r + 1, np.cumsum",
        "exp(g_t) exp(-g_s) overflows once a gate is very negative",
        "fla#20",
        FINITE,
    ),
    d_common(
        "LastChunkDropped",
        "range(0, len(x), self.chunk)",
        "range(0, len(x) // self.chunk * self.chunk, self.chunk)",
        "the steps after the last whole chunk are lost",
        "FlagGems#5014",
        STEPS,
    ),
    d_common(
        "StaleUpstream",
        "d_gates, d_state = self.backward(",
        "d_gates, _ = self.backward(",
        "the upstream of the state is not handed from chunk to chunk",
        "mlstm_kernels#10",
        WEIGHTS,
    ),
    m_common(
        "ChunksForwards",
        "reversed(list(zip(self._spans(x), kept)))",
        "zip(self._spans(x), kept)",
        "chunks are differentiated first to last",
        "axon#646",
        WEIGHTS,
    ),
    m_common(
        "WeightsOfFirstChunk",
        "[total + d for total, d in zip(weights, more)]",
        "more",
        "dW is that of the first chunk",
        "mxnet#18203",
        WEIGHTS,
    ),
    d_common(
        "StateOfFirstChunk",
        "save, state, y = self.forward(",
        "save, last, y = self.forward(",
        "each chunk starts from the initial state",
        "burn#2701",
        STEPS,
    ),
    d_common(
        "GateUpstreamsShifted", "s <= r, later", "s < r, later", "a decay has no gradient at its own step", "fla#459", WEIGHTS
    ),
    d_common(
        "GateUpstreamsOfOneStep",
        "np.flip(np.cumsum(np.flip(d, -2), axis=-2), -2)",
        "d",
        "a decay has the gradient of its own step alone",
        "Flux#1222",
        WEIGHTS,
    ),
    m_common(
        "UpstreamsOfPadding",
        "np.where(on[span], dys[span], 0)",
        "dys[span]",
        "upstreams of padding are used",
        "mamba#368",
        "outputs_of_padding_are_zero",
    ),
    m_chunks(
        "ForgetGradientNearlyRight",
        "df = through_decays(dG)",
        "df = 0.997 * through_decays(dG)",
        "df is 0.3 % too small",
        "below the 0.005 of fla's tests",
        WEIGHTS,
    ),
    m_chunks(
        "PaddedChunkDecays",
        "np.where(on, log_sigmoid(self.step.capped(f)), 0)",
        "log_sigmoid(self.step.capped(f))",
        "padding masks the value, not the decay",
        "fla#1272",
        RAGGED,
    ),
    m_chunks(
        "PaddedChunkAdds",
        "np.where(on, self.step.capped(i), -np.inf)",
        "self.step.capped(i)",
        "padding masks the decay, not the value",
        "keras#1300",
        RAGGED,
    ),
    m_chunks(
        "InitialStabiliserIgnored",
        "np.concatenate([m[:, None]",
        "np.concatenate([0 * m[:, None]",
        "the chunk starts from m = 0",
        "fla#351",
        STEPS,
    ),
    m_chunks(
        "InitialNormaliserIgnored",
        "np.concatenate([n[:, None], k]",
        "np.concatenate([0 * n[:, None], k]",
        "the chunk starts from n = 0",
        "fla#351",
        STEPS,
    ),
    m_chunks(
        "StabiliserOfFirstStep",
        "(C_new, n_new, M[:, -1])",
        "(C_new, n_new, M[:, 0])",
        "m' is that of the chunk's first step",
        "mlstm_kernels#10",
        STEPS,
    ),
    m_chunks(
        "ChunkStabiliserDetached",
        "dG[:, -1] += np.where(np.arange(dG.shape[-1]) == top, dm, 0)\n",
        "pass\n",
        "m' of the chunk takes no gradient",
        "xlstm kernels",
        WEIGHTS,
    ),
    m_chunks(
        "FinalNormaliserIgnored",
        "dE[:, -1] += (keys @ dn_new[..., None])[..., 0]\n",
        "pass\n",
        "decays have no gradient of the final n",
        "fla#459",
        WEIGHTS,
    ),
    m_chunks(
        "FinalMatrixIgnored",
        "dE[:, -1, 0] += (dC_new * C).sum(axis=(1, 2))\n",
        "pass\n",
        "decays have no gradient of the final C",
        "fla#459",
        WEIGHTS,
    ),
    m_chunks("QueryOfOldMatrixLost", " + e * (d_sum @ turned(C))", "", "dq lacks what the old state answers", "fla#351", WEIGHTS),
    m_chunks("OldStateWithoutQuery", " + turned(e * q) @ d_sum", "", "dC lacks the answers of the chunk", "chainer#2505", STATE),
    m_common(
        "FinalStateShared",
        "*(s.copy() for s in state)",
        "*state",
        "the final states alias what vjp reads",
        "97 hand-written cells: aliases",
        "outputs_are_the_callers",
    ),
    m_common(
        "StateInSinglePrecision",
        "gates, on[span].swapaxes(0, 1), *state)",
        "gates, on[span].swapaxes(0, 1), *(np.float32(s.real) + 0 * s for s in state))",
        "the state passes from chunk to chunk in float32",
        "fla#37",
        STEPS,
    ),
    d_common(
        "InputGradientInSinglePrecision",
        "np.zeros(x.shape, self.weights[0].dtype)",
        "np.zeros(x.shape, np.float32)",
        "dx is collected in float32",
        "fla#37",
        "input_gradients",
    ),
    m_chunks(
        "NotStabilisedChunk",
        "M = np.take_along_axis(G, top, axis=-1)",
        "M = 0 * np.take_along_axis(G, top, axis=-1)",
        "m is left out of C, n and m'",
        OWN,
        EQUATIONS,
    ),
    d_chunks(
        "PaddedGateDecays",
        "np.where(on, log_sigmoid(a), 0)",
        "log_sigmoid(a)",
        "padding masks the value, not the decay",
        "fla#1272",
        RAGGED,
    ),
    d_chunks(
        "PaddedChunkWrites",
        "np.where(on, sigmoid(b), 0)",
        "sigmoid(b)",
        "padding masks the decay, not the value",
        "keras#1300",
        RAGGED,
    ),
    d_chunks(
        "ErasureNotDecayed",
        "A = np.tril(beta * D * (k @ turned(k)), -1)",
        "A = np.tril(beta * (k @ turned(k)), -1)",
        "what is erased is not decayed first",
        OWN,
        STEPS,
    ),
    d_chunks(
        "OwnKeyErased",
        "A = np.tril(beta * D * (k @ turned(k)), -1)",
        "A = np.tril(beta * D * (k @ turned(k)))",
        "a step erases what it writes",
        OWN,
        EQUATIONS,
    ),
    d_chunks(
        "OldStateNotErased",
        "rest = v - old * (k @ S)",
        "rest = v - 0 * old * (k @ S)",
        "what the chunk found is not erased",
        "fla#351",
        STEPS,
    ),
    d_chunks(
        "OldStateNotDecayed", "(old[:, -1:] * S + turned", "(S + turned", "the state passes the chunk undecayed", OWN, STEPS
    ),
    d_chunks(
        "SolvedTheWrongWay",
        "dtype=A.dtype) + turned(A), dU",
        "dtype=A.dtype) + A, dU",
        "the triangular system is not transposed",
        "axon#646",
        WEIGHTS,
    ),
    d_chunks(
        "GateGradientOfOldState",
        "d_decays[:, -1, 0] += old[:, -1, 0] * (dS_new * S).sum(axis=(1, 2))\n",
        "pass\n",
        "decays lack the gradient of the final state",
        "fla#459",
        WEIGHTS,
    ),
    d_chunks(
        "GateGradientOfWrites",
        "d_decays[:, -1, 1:] += last[..., 0] * ((k @ dS_new) * U).sum(axis=-1)\n",
        "pass\n",
        "decays lack the gradient of what is written",
        "fla#459",
        WEIGHTS,
    ),
    d_chunks(
        "KeyOfOldStateLost", " - old * (d_rest @ turned(S))", "", "dk lacks what is erased of the old state", "fla#351", WEIGHTS
    ),
    d_chunks("PairsHalf", " + turned(d_pairs) @ k", "", "dk k^T is differentiated on one side", OWN, WEIGHTS),
    d_chunks("OldStateGradientHalf", " - turned(old * k) @ d_rest", "", "dS lacks the way through what is erased", OWN, STATE),
    d_chunks(
        "StrengthOfPairsLost",
        " + (dA * D * (k @ turned(k))).sum(axis=-1, keepdims=True)",
        "",
        "dbeta lacks the way through the pairs",
        OWN,
        WEIGHTS,
    ),
]

CLASSES = {
    "LSTM variants": LSTMS,
    "linear recurrences": LINEAR,
    "xLSTM": XLSTM,
    "linear attention": LINEAR_ATTENTION,
    "scans": SCANS,
    "chunks": CHUNKS,
}
MUTANTS = [mutant for mutants in CLASSES.values() for mutant in mutants]

LOOKALIKES = [  # correct, and unlike the shipped cell: fault says why they look wrong
    min_gru("UpdateByDifference", "sigmoid(z) * n\n", "(1 - sigmoid(-z)) * n\n", "1 - sigmoid(-z) for sigmoid(z)", OWN, ""),
    min_lstm(
        "DifferenceOfSoftplus",
        "d = log_sigmoid(f) - log_sigmoid(i)\n        return",
        "d = -log_sigmoid(i) + log_sigmoid(f)\n        return",
        "the terms in another order",
        OWN,
        "",
    ),
    rg_lru(
        "ProductOfRoots",
        ROOT,
        "np.sqrt(-np.expm1(log_a)) * np.sqrt(1 + np.exp(log_a)) * sigmoid(i) * u",
        "sqrt(1 - a) sqrt(1 + a)",
        OWN,
        "",
    ),
    slstm("QuotientFirst", "sigmoid(o) * c_new / n_new", "c_new / n_new * sigmoid(o)", "the gate comes last", OWN, ""),
    mlstm(
        "NormaliserByMaximum",
        "np.where(sign == 0, least, sign * nq)\n",
        "np.where(sign == 0, least, np.sqrt(nq * nq))\n",
        "sqrt(z^2) for |z|",
        OWN,
        "",
    ),
    s6(
        "DecayByPower",
        "np.exp(-delta[:, :, None] * np.exp(self.A_log)) * h",
        "np.exp(-np.exp(self.A_log)) ** delta[:, :, None] * h",
        "exp(A) to the power of Delta",
        OWN,
        "",
    ),
    gla("GateByRoot", "np.exp(log_sigmoid(a) / self.TAU)", "sigmoid(a) ** (1 / self.TAU)", "a root for exp(log / 16)", OWN, ""),
    delta(
        "ErasedThenWritten",
        "S_new = alpha[:, :, None] * S + k[:, :, None] * u[:, None, :]",
        "S_new = alpha[:, :, None] * (S - sigmoid(b)[:, :, None] * k[:, :, None] * np.einsum('bkv,bk->bv', S, k)[:, None, :]) + k[:, :, None] * (sigmoid(b) * v)[:, None, :]",
        "the rule as the paper writes it",
        OWN,
        "",
    ),
    scan(
        "StepByStep",
        "    reach = 1\n",
        "    for t in range(1, len(a)):\n        a, b = a.copy(), b.copy()\n        b[t], a[t] = a[t] * b[t - 1] + b[t], a[t] * a[t - 1]\n    return a, b\n    reach = 1\n",
        "no scan at all",
        OWN,
        "",
    ),
    d_chunks(
        "InverseOfTheSystem",
        "np.linalg.solve(np.eye(A.shape[-1], dtype=A.dtype) + A, beta * rest)",
        "np.linalg.inv(np.eye(A.shape[-1], dtype=A.dtype) + A) @ (beta * rest)",
        "an inverse for a solve",
        OWN,
        "",
    ),
    d_common("LongerChunks", "chunk = 4", "chunk = 16", "chunks of 16 steps", OWN, ""),
    m_common("ChunksOfOneStep", "chunk = 4", "chunk = 1", "chunks of a single step", OWN, ""),
]
