"""A guest that breaks the contract is refused once, in one line that says what to fix; a mere bug is left to the laws."""

import pytest
from cellcheck.properties.intake.loading import GuestError

from cellcheck.subjects import named

GIST = """
import numpy as np

class Guest:
    def __init__(self, features, state):
        self.W, self.b = np.zeros((features + state, state)), np.zeros(state)
        self.weights = [self.W, self.b]

    def forward(self, x, h):
        self.X = np.concatenate([x, h], axis=1)
        self.y = np.tanh(self.X @ self.W + self.b)
        return self.y.sum()

    def backward(self, d):
        dz = d * (1 - self.y**2)
        return [self.X.T @ dz, dz.sum(axis=0)]
"""
FULL = (
    GIST.replace("return self.y.sum()", "return self.y").replace("def forward", "def apply")
    + """
    def vjp(self, d):
        dz, F = d * (1 - self.y**2), self.X.shape[1] - d.shape[1]
        dX = dz @ self.W.T
        return [self.X.T @ dz, dz.sum(axis=0)], dX[:, :F], (dX[:, F:],)
"""
)
ADDED = """
import numpy as np

class Guest:
    def __init__(self, features, state):
        self.W = np.zeros([features, state])
        self.weights = [self.W]

    def apply(self, x, h):
        self.kept = x
        return (x @ self.W + h,)

    def vjp(self, d):
        return [self.kept.T @ d], d @ self.W.T, (d,)
"""


def edit(source, old, new):
    """The source with one edit."""
    assert source.count(old) == 1
    return source.replace(old, new)


BAD = {
    # the invocation
    "there is no file": ("lost.py:Guest", GIST),
    "there is no file {folder}/guest, but guest.py beside it": ("./guest:Guest", GIST),
    "is a directory; name a file in it": ("./:Guest", GIST),
    "importing no.such raised ModuleNotFoundError: No module named 'no'": ("no.such:Guest", GIST),
    "guest.py has no Gest; it has Guest": ("guest.py:Gest", GIST),
    "write MODULE:NAME or PATH.py:NAME": ("guest.py", GIST),
    "write MODULE:NAME or PATH.py:NAME, with one colon": ("guest.py::Guest", GIST),
    "Guest is of type int; name a class or a function (features, state) -> cell": ("guest.py:Guest", "Guest = 3"),
    # the import
    "guest.py, line 2: '(' was never closed": ("guest.py:Guest", "import numpy\nclass Guest(\n"),
    "importing guest.py raised ZeroDivisionError: division by zero, at guest.py:1": ("guest.py:Guest", "1 / 0"),
    "guest.py: source code string cannot contain null bytes": ("guest.py:Guest", "x = 1\0"),
    "raised AssertionError: rows first, at ": (
        "guest.py:Guest",
        edit(GIST, "self.X = ", "assert len(x) > 9, 'rows first'\n        self.X = "),
    ),
    "importing guest.py raised SystemExit: usage: train.py DATA": (
        "guest.py:Guest",
        "import sys\nsys.exit('usage: train.py DATA')",
    ),
    # the constructor
    "constructing it with (features, state) = (1, 1) raised TypeError: Guest.__init__() missing 1 required positional argument": (
        "guest.py:Guest",
        edit(GIST, "features, state):", "features, state, depth):"),
    ),
    # the weights
    "Guest has no attribute weights; wanted the list of its arrays": (
        "guest.py:Guest",
        edit(GIST, "self.weights =", "self.params ="),
    ),
    "weights is a dict; wanted a list of arrays, as list(weights.values())": (
        "guest.py:Guest",
        edit(GIST, "[self.W, self.b]", "{'W': self.W}"),
    ),
    "weights[1] is a float; wanted a numpy array": ("guest.py:Guest", edit(GIST, "[self.W, self.b]", "[self.W, 0.0]")),
    "weights[1] is a cupy.ndarray; wanted a numpy array; keep NumPy arrays there, and copy them in each call": (
        "guest.py:Guest",
        edit(GIST, "[self.W, self.b]", "[self.W, type('ndarray', (), {'shape': (1,), '__module__': 'cupy'})()]"),
    ),
    "weights[0] is a numpy.matrix; wanted a numpy array": (
        "guest.py:Guest",
        edit(GIST, "[self.W, self.b]", "[np.matrix(self.W)]"),
    ),
    "raised Mute, at ": (
        "guest.py:Guest",
        edit(GIST, "        self.y = np.tanh", "        raise Mute()\n        self.y = np.tanh")
        + "\n\nclass Mute(Exception):\n    def __str__(self):\n        return 1 / 0\n",
    ),
    "vjp((1, 1)) gives 1 gradients for the weights, and weights is empty; list the arrays there": (
        "guest.py:Guest",
        edit(ADDED, "self.weights = [self.W]", "self.weights = []"),
    ),
    "weights had 0 arrays and has 1 after a call; make them with the cell, and keep the list as it is": (
        "guest.py:Guest",
        edit(
            edit(ADDED, "self.weights = [self.W]", "self.weights = []"), "self.kept = x", "self.kept, self.weights = x, [self.W]"
        ),
    ),
    "reading weights raised AttributeError: 'Guest' object has no attribute 'V', at ": (
        "guest.py:Guest",
        edit(ADDED, "        self.weights = [self.W]", "\n    @property\n    def weights(self):\n        return [self.V]"),
    ),
    "calling it at small sizes raised ZeroDivisionError: division by zero, at ": (
        "guest.py:Guest",
        edit(ADDED, "        self.weights = [self.W]", "\n    @property\n    def weights(self):\n        return 1 / 0"),
    ),
    "constructing it with (features, state) = (1, 1) raised KeyboardInterrupt, at ": (
        "guest.py:Guest",
        edit(ADDED, "        self.W =", "        raise KeyboardInterrupt\n        self.W ="),
    ),
    "importing it raised ValueError: no Gest here, at ": (
        "guest.py:Gest",
        GIST + "\ndef __getattr__(name):\n    raise ValueError(f'no {name} here')\n",
    ),
    "MaskedArray; wanted a numpy array, as .filled(0) makes of it": (
        "guest.py:Guest",
        edit(GIST, "[self.W, self.b]", "[np.ma.masked_array(self.W)]"),
    ),
    "weight_blocks is 3; give a list with a dict for each weight": (
        "guest.py:Guest",
        FULL + "    kind, weight_blocks = 'RNN', 3",
    ),
    "forward returned a tuple of 2, of unequal shapes; wanted arrays of numbers": (
        "guest.py:Guest",
        edit(GIST, "return self.y.sum()", "return self.y.sum(), self.X"),
    ),
    "weights is empty; wanted the list of its arrays": ("guest.py:Guest", edit(GIST, "[self.W, self.b]", "[]")),
    "weights[1] is read-only; wanted an array that can be written in place": (
        "guest.py:Guest",
        edit(GIST, "[self.W, self.b]", "[self.W, self.b]\n        self.b.flags.writeable = False"),
    ),
    "weights[1] is the same array as an earlier one; wanted each array once": (
        "guest.py:Guest",
        edit(GIST, "[self.W, self.b]", "[self.W, self.W]"),
    ),
    "weights[1] and weights[0] share numbers; wanted arrays that do not overlap in memory": (
        "guest.py:Guest",
        edit(GIST, "[self.W, self.b]", "[self.W, self.W[0]]"),
    ),
    "it works with the two sizes exchanged: make it as (features, state), as in Cell = lambda features, state: Guest(state, features)": (
        "guest.py:Guest",
        edit(ADDED, "self, features, state", "self, state, features"),
    ),
    "weights[1] has dtype int64; wanted floats": ("guest.py:Guest", edit(GIST, "np.zeros(state)", "np.zeros(state, 'int64')")),
    "wanted the live arrays, not copies": ("guest.py:Guest", edit(GIST, "[self.W, self.b]", "[self.W.copy(), self.b.copy()]")),
    # the outputs
    "Guest has neither apply nor forward": ("guest.py:Guest", edit(GIST, "def forward", "def run")),
    "has forward but no backward; rename back, or declare gradients = () to verify its outputs alone": (
        "guest.py:Guest",
        edit(GIST, "def backward", "def back"),
    ),
    "forward(x (1, 1), h (1, 1)) returned an array (1, 1); wanted a scalar, the sum of the new hidden state; if it returns states": (
        "guest.py:Guest",
        edit(GIST, "return self.y.sum()", "return self.y"),
    ),
    "forward(x (1, 1), c (1, 1), h (1, 1)) raised TypeError: Guest.forward() takes 3 positional arguments but 4 were given": (
        "guest.py:Guest",
        edit(GIST, "def __init__", "state_names = ('c', 'h')\n    def __init__"),
    ),
    "returned 1 array; wanted 2: c', h'": ("guest.py:Guest", edit(FULL, "def apply(self, x, h)", "def apply(self, x, c, h)")),
    "apply(x (1, 2), h (1, 3)) returned h' of shape (3, 1); wanted (1, 3)": (
        "guest.py:Guest",
        edit(FULL, "return self.y\n", "return self.y.T\n"),
    ),
    "apply(x (1, 1), h (1, 1)) returned h' of dtype int64; wanted floats": (
        "guest.py:Guest",
        edit(FULL, "return self.y\n", "return self.y.astype('int64')\n"),
    ),
    "for small weights and inputs; wanted finite numbers": (
        "guest.py:Guest",
        edit(FULL, "return self.y\n", "return self.y / 0\n"),
    ),
    "weights[1] has dtype complex128; wanted floats, since weights are written in place; keep the real and the imaginary parts": (
        "guest.py:Guest",
        edit(GIST, "np.zeros(state)", "np.zeros(state, complex)"),
    ),
    "has dtype object; wanted floats": ("guest.py:Guest", edit(GIST, "np.zeros(state)", "np.zeros(state, object)")),
    # the gradients
    "backward(a scalar) gives 1 gradients for 2 weights; wanted one for each, same order": (
        "guest.py:Guest",
        edit(GIST, "return [self.X.T @ dz, dz.sum(axis=0)]", "return [self.X.T @ dz]"),
    ),
    "gives a gradient (1, 2) for W; wanted (2, 1), the shape of W": (
        "guest.py:Guest",
        edit(GIST, "self.X.T @ dz", "dz.T @ self.X"),
    ),
    "vjp returned a list of 2; wanted a tuple of three, (weights, x, state)": (
        "guest.py:Guest",
        edit(FULL, ", dX[:, :F], (dX[:, F:],)", ""),
    ),
    "gives 2 arrays for the states; wanted a tuple, one each for h": (
        "guest.py:Guest",
        edit(FULL, "(dX[:, F:],)", "(dX[:, F:], dX[:, F:])"),
    ),
    "vjp((1, 1)) gives ndarray for the weights; wanted a list with one gradient for each weight": (
        "guest.py:Guest",
        edit(FULL, "[self.X.T @ dz, dz.sum(axis=0)], dX", "self.X.T @ dz, dX"),
    ),
    "gives None for x; declare gradients without x if it has no such gradient": (
        "guest.py:Guest",
        edit(FULL, "dX[:, :F], (", "None, ("),
    ),
    # the declarations
    "kind is 'lstm'; wanted one of RNN, LSTM, GRU, one of cellcheck.cells.modern, or None": (
        "guest.py:Guest",
        FULL + "    kind = 'lstm'",
    ),
    "gradients is 'weights'; wanted a tuple out of weights, x, state": ("guest.py:Guest", FULL + "    gradients = 'weights'"),
    "choices is {'momentum': 0.5}; give a dict out of": ("guest.py:Guest", FULL + "    choices = {'momentum': 0.5}"),
    "batch is 2; wanted None (any number of rows) or 1": ("guest.py:Guest", FULL + "    batch = 2"),
    "dtypes is ('int8',); wanted a tuple of numpy.float64, numpy.float32 or both": (
        "guest.py:Guest",
        FULL + "    dtypes = ('int8',)",
    ),
    "dtypes is ('float1',); wanted a tuple of": ("guest.py:Guest", FULL + "    dtypes = ('float1',)"),
    "dtypes is (); wanted a tuple of": ("guest.py:Guest", FULL + "    dtypes = ()"),
    "weight_names is ('W',); give a name of its own to each of the 2 weights": (
        "guest.py:Guest",
        FULL + "    weight_names = ('W',)",
    ),
    "sequence is 'yes'; give True or False": ("guest.py:Guest", FULL + "    sequence = 'yes'"),
    "returned 1 array; wanted 2: h', ys, since sequence = True": (
        "guest.py:Guest",
        edit(FULL, "[x, h]", "[x[-1], h]") + "    sequence = True",
    ),
    "fewest_steps is -1; give a whole number of at least 0": ("guest.py:Guest", FULL + "    fewest_steps = -1"),
    "most_steps is 0; give a whole number of at least 1": ("guest.py:Guest", FULL + "    most_steps = 0"),
    "sizes is {'batch': ('state',)}; give whole numbers from 1 on for any of features, state, batch, steps; only for features and state may it be the name of the other size": (
        "guest.py:Guest",
        FULL + "    sizes = {'batch': 'state'}",
    ),
    "sizes is [2, 3]; give a dict, such as {'state': (2, 4)}": ("guest.py:Guest", FULL + "    sizes = [2, 3]"),
    "returned 1 array; wanted none, since it has no states and no output; declare state_names, or output = 'y'": (
        "guest.py:Guest",
        FULL + "    inputs = ('x', 'h')",
    ),
    "state_names is (1,); wanted names, the output last": ("guest.py:Guest", FULL + "    state_names = (1,)"),
    "kind is 'GRU', but it computes the RNN equations": ("guest.py:Guest", FULL + "    kind = 'GRU'"),
    "weight_blocks has 1 entries for 2 weights": ("guest.py:Guest", FULL + "    kind, weight_blocks = 'RNN', [{}]"),
    "weight_blocks[0] names ('y', 'candidate'); wanted a source of x, h, bias, bias_x, bias_h and a gate of candidate": (
        "guest.py:Guest",
        FULL + "    kind, weight_blocks = 'RNN', [{('y', 'candidate'): ...}, {}]",
    ),
    "weight_blocks[0]['x', 'candidate'] picks an array (2, 1); wanted (1, 1)": (
        "guest.py:Guest",
        FULL + "    kind, weight_blocks = 'RNN', [{('x', 'candidate'): ...}, {}]",
    ),
    "complex = True, but apply returns real numbers": (
        "guest.py:Guest",
        edit(FULL, "return self.y\n", "return self.y.real\n") + "    complex = True",
    ),
}


@pytest.mark.parametrize("message", BAD)
def test_a_bad_invocation_is_one_line(message, tmp_path):
    """It names what was given, and says what is wanted."""
    given, source = BAD[message]
    (tmp_path / "guest.py").write_text(source, encoding="utf-8")
    with pytest.raises(GuestError) as refusal:
        named([given], tmp_path)
    line = str(refusal.value)
    assert line.startswith(f"--cell {given}: ") and message.replace("{folder}", str(tmp_path)) in line and "\n" not in line


SEQUENCE = """
import numpy as np

class Guest:
    sequence = True

    def __init__(self, features, state):
        self.W, self.b = np.zeros((features + state, state)), np.zeros(state)
        self.weights = [self.W, self.b]

    def apply(self, x, h):
        ys = [h]
        for row in x:
            ys.append(np.tanh(np.concatenate([row, ys[-1]], axis=1) @ self.W + self.b))
        return ys[-1], np.array(ys)[1:]
"""
STACKS = edit(SEQUENCE, "np.array(ys)[1:]", "np.stack(ys[1:])")
SUMS = (  # what no step adds to stays the number 0
    SEQUENCE
    + """
    def vjp(self, d, d_ys):
        return [np.zeros_like(w) if len(d_ys) else 0 for w in self.weights], np.zeros((len(d_ys), 1, len(self.W) - len(self.b))), (d,)
"""
)
DECLARATION = """
    kind = "RNN"

    @property
    def weight_blocks(self):
        S = len(self.b)
        return [{("x", "candidate"): np.s_[:-S], ("h", "candidate"): np.s_[-S:]}, {("bias", "candidate"): ...}]
"""
FOUND = "computes the RNN equations, [x, h], one bias"
GOOD = {
    "a full cell": (FULL, [FOUND]),
    "forwards only": (edit(GIST, "def backward", "gradients = ()\n\n    def back"), [FOUND]),
    "complex, as promised": (FULL + "    complex = True", [FOUND]),
    "a sequence": (SEQUENCE, [FOUND]),
    "a sequence of one step or more": (STACKS, [FOUND, "takes no empty sequence"]),
    "a sequence whose gradients want a step": (SUMS, [FOUND, "takes no empty sequence"]),
    "a sequence of one step or more, as declared": (STACKS + "    fewest_steps = 1", [FOUND, "takes no empty sequence"]),
    "a declared RNN": (FULL + DECLARATION, []),
    "a declared RNN that is none": (
        edit(FULL, "np.tanh(self.X @ self.W + self.b)", "np.cos(self.X @ self.W + self.b)") + DECLARATION,
        ["declares RNN, but computes something else (largest difference 1)"],
    ),
}


@pytest.mark.parametrize("guest", GOOD)
def test_a_guest_that_honours_the_contract_is_cleared(guest, tmp_path):
    """With what the head of the run says of it."""
    source, notes = GOOD[guest]
    (tmp_path / "guest.py").write_text(source, encoding="utf-8")
    assert named(["guest.py:Guest"], tmp_path)[0].notes == tuple(notes)


BUGS = {
    "crashes at batch 2": edit(GIST, "dz = d", "assert len(self.y) == 1\n        dz = d"),
    "bias not summed over the batch": edit(GIST, "dz.sum(axis=0)", "dz"),
    "NaN at large input": edit(
        GIST, "np.tanh(self.X @ self.W + self.b)", "np.tanh(self.X @ self.W + self.b) + 0 * np.exp(abs(x).max())"
    ),
    "wrong gradient": edit(GIST, "(1 - self.y**2)", "(1 - self.y)"),
    "no gradient of b": edit(GIST, "dz.sum(axis=0)", "None"),
}


@pytest.mark.parametrize("bug", BUGS)
def test_a_bug_is_left_to_the_laws(bug, tmp_path):
    """They find the smallest counterexample; the pre-flight would only forbid the run."""
    (tmp_path / "guest.py").write_text(BUGS[bug], encoding="utf-8")
    assert [guest.label for guest in named(["guest.py:Guest"], tmp_path)] == ["guest.py:Guest"]


NOISE = {
    "hazard: prints 'hello'": edit(GIST, "self.X = ", "print('hello')\n        self.X = "),
    "hazard: warns DeprecationWarning: old": edit(
        GIST, "self.X = ", "import warnings\n        warnings.warn('old', DeprecationWarning)\n        self.X = "
    ),
    "hazard: draws from the global random state": edit(GIST, "np.zeros(state)", "np.random.randn(state)"),
}


@pytest.mark.parametrize("note", NOISE)
def test_a_noisy_guest_is_reported(note, tmp_path, capsys):
    """In a line of its own, and nothing of it gets through."""
    (tmp_path / "guest.py").write_text(NOISE[note], encoding="utf-8")
    [guest] = named(["guest.py:Guest"], tmp_path)
    assert any(line.startswith(note) for line in guest.notes)
    assert capsys.readouterr() == ("", "")


def test_a_guest_that_hangs_is_refused(tmp_path):
    """In the pre-flight after its limit, whatever it catches."""
    endless = "while True:\n            try:\n                pass\n            except Exception:\n                pass\n        "
    source = edit(GIST, "self.X = ", f"{endless}self.X = ")
    (tmp_path / "guest.py").write_text(source, encoding="utf-8")
    with pytest.raises(GuestError, match=r"calling it at small sizes took more than 0\.2 s"):
        named(["guest.py:Guest"], tmp_path, limit=0.2)
