"""Mutants that nobody thought of: every single edit of the syntax tree of a shipped cell's equations, by rule.

An operator, an operand, an index, a constant, an argument, a name or a statement is changed; docstrings, declared names and the
text of errors are not. Each is executed in process. Those that no law can kill compute the same thing, and `equivalent` says why.
"""

import ast
import copy
import re
from collections import Counter
from dataclasses import dataclass, field

from cellcheck.cells.modern import MODERN
from cellcheck.properties.mutants.engine import HOMES, executed, text

SUBJECTS = {  # file -> cells that are made of it
    **{"rnn": ("RNN",), "lstm": ("LSTM",), "gru": ("GRU",), "unroll": ("UnrolledLSTM", "UnrolledRNN")},
    **{HOMES[Cell.__name__]: (Cell.__name__,) for Cell in MODERN},
    **{"modern.gated": ("RGLRU", "RGLRUScan"), "modern.linear": ("RGLRU",), "modern.scan": ("RGLRUScan",)},
    **{"modern.rg_lru": ("RGLRU", "RGLRUScan"), "modern.gated_delta": ("GatedDelta", "GatedDeltaChunks")},
    "modern.chunks": ("GatedDeltaChunks", "MLSTMChunks"),
}
SKIPPED = ("__repr__",)
COMPOUND = (ast.For, ast.While, ast.If, ast.With, ast.Try, ast.FunctionDef, ast.ClassDef)
NAMED = {ast.Name: "id", ast.Attribute: "attr", ast.Subscript: "slice"}  # where a node has the name that it reads
OPERATORS = {
    ast.Add: (ast.Sub,),
    ast.Sub: (ast.Add,),
    ast.Mult: (ast.Add, ast.Div),
    ast.Div: (ast.Mult,),
    ast.BitOr: (ast.BitAnd,),
    ast.BitAnd: (ast.BitOr,),
    ast.Lt: (ast.LtE, ast.GtE),
    ast.Gt: (ast.GtE, ast.LtE),
    ast.LtE: (ast.Lt,),
    ast.GtE: (ast.Gt,),
    ast.Eq: (ast.NotEq,),
    ast.NotEq: (ast.Eq,),
    ast.Is: (ast.IsNot,),
}
RENAMED = [  # names and attributes that are easily taken for one another
    ("i", "f", "o", "g"),
    ("di", "df", "do", "dg"),
    ("dr", "du", "dn"),
    ("a_r", "a_u", "a_n"),
    ("s_r", "s_u", "s_n"),
    ("a_r", "s_r"),
    ("a_u", "s_u"),
    ("a_n", "s_n"),
    ("r", "u"),
    ("n", "h"),
    ("c", "c_new"),
    ("c", "h"),
    ("x", "h"),
    ("dc", "dh"),
    ("dx", "dh"),
    ("X", "z"),
    ("da", "ds"),
    ("F", "S"),
    ("n", "old"),
    ("d", "old"),
    ("sigmoid", "tanh"),
    ("d_sigmoid", "d_tanh"),
    ("sigmoid", "d_sigmoid"),
    ("tanh", "d_tanh"),
    ("input_features", "state_size"),
    ("W_input", "W_state"),
    ("b_input", "b_state"),
    ("state", "d_state"),
    ("zeros", "ones"),
    ("zeros_like", "ones_like"),
    ("sum", "mean"),
    ("apply", "vjp"),
    ("q", "k", "v"),
    ("dq", "dk", "dv"),
    ("alpha", "beta"),
    ("n", "n_new"),
    ("C", "C_new"),
    ("S", "S_new"),
    ("h", "h_new"),
    ("dC", "dC_new"),
    ("dn", "dn_new"),
    ("keep", "write"),
    ("f", "p_f"),
    ("p_i", "p_f", "p_o"),
    ("db", "da"),
    ("sigmoid", "log_sigmoid"),
    ("softplus", "sigmoid"),
]


@dataclass(frozen=True)
class Generated:
    """One edit of the tree of cells/FILE.py. place: the function; before, after: the smallest statement that holds the edit.

    path, change: where the tree is edited, and what stands there then; number: of those that read the same.
    """

    file: str
    place: str
    before: str
    after: str
    number: int
    path: tuple = field(repr=False)
    change: ast.AST | None = field(repr=False)

    @property
    def key(self):
        """What names it as long as its statement stands: "lstm._vjp: dc = ... -> dc = ..."."""
        return f"{self.file}.{self.place}: {self.before} -> {self.after}" + (f" ({self.number})" if self.number else "")

    @property
    def source(self):
        """The whole file, edited."""
        tree = ast.parse(text(self.file))
        put(tree, self.path, copy.deepcopy(self.change))
        return ast.unparse(ast.fix_missing_locations(tree))

    def cls(self, cell):
        """The broken class of a cell that the file makes, one of SUBJECTS[file]."""
        return executed(cell, self.file, self.source, f"Generated{cell}")


def generated(file):
    """All mutants of one file of cells/, in the order of its lines."""
    tree = ast.parse(text(file))
    known, renamed = words(tree) | {"ones", "ones_like", "mean"}, {ast.Name: RENAMED, ast.Attribute: RENAMED}
    for edit in edits(tree, paths(tree), known, renamed):
        yield Generated(file, *edit)


def edits(tree, where, known, renamed):
    """(place, before, after, number, path, change) of every single edit; see Generated.

    where: some of the `paths` of the tree; known: the names that a rename may use; renamed: for each type of node in NAMED the
    groups of names that are easily taken for one another.
    """
    seen, made = Counter(), set()
    for path, place in list(where):
        node = at(tree, path)
        k = max(k for k in range(1, len(path) + 1) if isinstance(at(tree, path[:k]), (ast.stmt, ast.comprehension)))
        before, whole = _line(at(tree, path[:k])), ast.unparse(at(tree, path[:k]))
        for change in list(_changes(node, renamed)):
            if _invented(change, node, known):
                continue
            put(tree, path, change)
            after, edited = _line(at(tree, path[:k])), ast.unparse(at(tree, path[:k]))
            put(tree, path, node)
            if edited != whole and (path[:k], edited) not in made:
                made.add((path[:k], edited))
                seen[place, before, after] += 1
                yield place, before, after, seen[place, before, after] - 1, path, change


def _invented(change, node, known):
    """Whether the edit is a rename to a name that the file does not have: Python would refuse it, no law is needed."""
    renamed = isinstance(change, (ast.Name, ast.Attribute)) and type(change) is type(node)
    return renamed and not words(change) <= known


def words(tree):
    """The names and attributes of a tree, and what it imports."""
    found = {getattr(node, "id", None) or getattr(node, "attr", None) for node in ast.walk(tree)}
    return found | {alias.name for node in ast.walk(tree) for alias in getattr(node, "names", []) if isinstance(alias, ast.alias)}


def paths(tree):
    """(path of a node, name of its function) for everything that is computed. A path is a tuple of (field, position)."""

    def walk(node, path, place):
        for name, value in ast.iter_fields(node):
            for k, child in enumerate(value) if isinstance(value, list) else [(None, value)]:
                if (
                    not isinstance(child, ast.AST)
                    or _silent(child)
                    or name in ("annotation", "returns", "bases", "decorator_list")
                ):
                    continue
                here = child.name if isinstance(child, ast.FunctionDef) else place or "lambda" * isinstance(child, ast.Lambda)
                if here in SKIPPED:
                    continue
                step = (*path, (name, k))
                if here or _ordered(child):
                    yield step, here or "class"
                    yield from walk(child, step, here or "class")
                else:
                    yield from walk(child, step, here)

    yield from walk(tree, (), "")


def _ordered(node):
    """Whether a declaration is the order of something: a tuple of names."""
    return isinstance(node, ast.Assign) and isinstance(node.value, ast.Tuple) and len(node.value.elts) > 2


def _silent(node):
    """Whether a node computes nothing: an import, a raise, text."""
    text_only = isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    return text_only or isinstance(node, (ast.Import, ast.ImportFrom, ast.Raise, ast.JoinedStr, ast.arguments))


def at(tree, path):
    """The node at this path."""
    for name, k in path:
        tree = getattr(tree, name) if k is None else getattr(tree, name)[k]
    return tree


def put(tree, path, new):
    """Replace the node at this path in place; None deletes a statement."""
    *above, (name, k) = path
    parent = at(tree, above)
    if k is None:
        setattr(parent, name, new)
    elif new is None:
        getattr(parent, name)[k] = ast.Pass()
    else:
        getattr(parent, name)[k] = new


def _line(node):
    """The statement in one line, a compound one by its first."""
    if isinstance(node, ast.comprehension):
        return ast.unparse(node).strip()
    lines = ast.unparse(node).splitlines()
    return lines[0] if len(lines) == 1 or isinstance(node, COMPOUND) else " ".join(map(str.strip, lines))


def _changes(node, renamed):
    """The edits of one node."""
    yield from _renamed(node, renamed.get(type(node), ()))
    rule = _RULES.get(type(node))
    if rule:
        yield from rule(node)
    if isinstance(node, (ast.Assign, ast.AugAssign, ast.Expr)):
        yield None
    for k, group in enumerate(getattr(node, "ops", [])):
        for other in OPERATORS.get(type(group), ()):
            yield _with(node, ops=[other() if j == k else op for j, op in enumerate(node.ops)])


def _with(node, **fields):
    new = copy.deepcopy(node)
    for name, value in fields.items():
        setattr(new, name, value)
    return new


def _binary(node):
    """Another operator, one operand alone, operands swapped where that matters."""
    for other in OPERATORS.get(type(node.op), ()):
        yield _with(node, op=other())
    yield node.left
    yield node.right
    if isinstance(node.op, (ast.Sub, ast.Div)):
        yield _with(node, left=node.right, right=node.left)


def _constant(node):
    """A neighbouring number, the other truth value."""
    if isinstance(node.value, bool):
        yield ast.Constant(not node.value)
    elif isinstance(node.value, (int, float)):
        yield ast.Constant(node.value + 1)
        yield ast.Constant(node.value - 1)


def _renamed(node, groups):
    """Another name, attribute or key of the same kind, where it is read."""
    name, was = NAMED.get(type(node)), word(node)
    for group in groups:
        if was in group and isinstance(node.ctx, ast.Load):
            new = (ast.Constant(other) if name == "slice" else other for other in group if other != was)
            yield from (_with(node, **{name: value}) for value in new)


def word(node):
    """The name of the variable, attribute or entry that this node reads or writes, or None."""
    value = getattr(node, NAMED.get(type(node), ""), None)
    value = value.value if isinstance(value, ast.Constant) else value
    return value if isinstance(value, str) else None


def _attribute(node):
    """Not transposed."""
    if node.attr == "T" and isinstance(node.ctx, ast.Load):
        yield node.value


def _augmented(node):
    """The other direction, an assignment."""
    for other in OPERATORS.get(type(node.op), ()):
        yield _with(node, op=other())
    yield ast.copy_location(ast.Assign(targets=[node.target], value=node.value), node)


def _call(node):
    """Two arguments swapped, an argument for the call, a method dropped."""
    for k in range(len(node.args) - 1):
        args = [*node.args]
        args[k], args[k + 1] = args[k + 1], args[k]
        yield _with(node, args=args)
    if len(node.args) == 1 and not node.keywords:
        yield node.args[0]
    if not node.args and isinstance(node.func, ast.Attribute):
        yield node.func.value
    if node.keywords:
        yield from (_with(node, keywords=[w for w in node.keywords if w is not keyword]) for keyword in node.keywords)


def _elements(node):
    """Two elements swapped, one left out."""
    if not isinstance(node.ctx, ast.Load):
        return
    for k in range(len(node.elts) - 1):
        elts = [*node.elts]
        elts[k], elts[k + 1] = elts[k + 1], elts[k]
        yield _with(node, elts=elts)
    for k in range(len(node.elts)):
        yield _with(node, elts=node.elts[:k] + node.elts[k + 1 :])


def _slice(node):
    """The other side of the cut."""
    if (node.lower is None) != (node.upper is None):
        yield ast.Slice(lower=node.upper, upper=node.lower, step=node.step)
    yield ast.Slice()


def _choice(node):
    """The other branch."""
    yield node.body
    yield node.orelse


def _unary(node):
    """The operand alone."""
    yield node.operand


def _condition(node):
    """Never, always."""
    yield _with(node, test=ast.Constant(False))
    yield _with(node, test=ast.Constant(True))


_RULES = {
    ast.BinOp: _binary,
    ast.Constant: _constant,
    ast.AugAssign: _augmented,
    ast.Attribute: _attribute,
    ast.Call: _call,
    ast.Tuple: _elements,
    ast.List: _elements,
    ast.Slice: _slice,
    ast.IfExp: _choice,
    ast.UnaryOp: _unary,
    ast.If: _condition,
}

BIAS = "a problem fills all weights; tests/test_cells.py holds fresh biases to zero"
ORDER = "the order of a dict"
MASKED = "whatever finite number stands in padding is masked"
ALIKE = "all states have one shape and one dtype, and so have all weights"
RETURN = (
    "unroll._apply: return (*(s.copy() for s in states[-1]), np.stack(ys) if ys else "
    "np.zeros(self._output_shapes()[-1], x.dtype)) -> return "
)
DECLARED = "unroll.Unroll: for name in ('kind', 'state_names', 'transposed') if hasattr(Step, name) -> for name in "
GRU_BIASES = (
    "gru.__init__: self.b_input, self.b_state = (np.zeros(columns, dtype), np.zeros(columns, dtype)) -> "
    "self.b_input, self.b_state = "
)
MASKS = "unroll._apply: alive = [np.True_] * len(x) if alive.all() else alive -> "
TRUE = "a mask that is true everywhere chooses the same numbers"
EQUIVALENT = {  # key of a mutant -> why it computes the same thing
    "rnn.__init__: self.b = np.zeros(state_size, dtype) -> self.b = np.ones(state_size, dtype)": BIAS,
    "lstm.__init__: self.b = np.zeros(4 * state_size, dtype) -> self.b = np.ones(4 * state_size, dtype)": BIAS,
    GRU_BIASES + "(np.ones(columns, dtype), np.zeros(columns, dtype))": BIAS,
    GRU_BIASES + "(np.zeros(columns, dtype), np.ones(columns, dtype))": BIAS,
    DECLARED + "('state_names', 'kind', 'transposed') if hasattr(Step, name)": ORDER,
    DECLARED + "('kind', 'transposed', 'state_names') if hasattr(Step, name)": ORDER,
    DECLARED + "('kind', 'state_names') if hasattr(Step, name)": "no shipped step is transposed, which is the default",
    "unroll.__init__: self.step = self.Step(input_features, state_size, **options) -> "
    "self.step = self.Step(input_features, state_size)": "laws give no options; tests/test_cells.py gives rng and dtype",
    "unroll.__init__: super().__init__(input_features, state_size) -> super().__init__(input_features, input_features)": (
        "its step has the sizes, and these are only shown"
    ),
    MASKS + "pass": TRUE,
    MASKS + "alive = alive": TRUE,
    "unroll._chosen: if on is np.True_: -> if False:": TRUE,
    RETURN + "(*(s for s in states[-1]), np.stack(ys) if ys else np.zeros(self._output_shapes()[-1], x.dtype))": (
        "the final states are in no cache, so that nobody else holds them"
    ),
    RETURN + "(*(s.copy() for s in states[-1]), np.stack(ys) if ys else np.ones(self._output_shapes()[-1], x.dtype))": (
        "an array without entries"
    ),
    RETURN + "(*(s.copy() for s in states[-1]), ys if ys else np.zeros(self._output_shapes()[-1], x.dtype))": (
        "a list of arrays serves as an array does"
    ),
    "unroll._output_shapes: return [*states, (steps, batch, *(self.output_shape or states[-1][1:]))] -> "
    "return [*states, (steps, batch, *(self.output_shape or states[-0][1:]))]": ALIKE,
    "unroll._chosen: return np.where(on.reshape(*on.shape, *[1] * (a.ndim - on.ndim)), a, b) -> "
    "return np.where(on.reshape(*on.shape, *[1]), a, b)": "only matrix states have two axes more, and no step here has them",
    "unroll._vjp: d_new.append(d_y if self.output_shape else d_new.pop() + d_y) -> d_new.append(d_new.pop() + d_y)": (
        "the output of a shipped step is a state"
    ),
    "unroll._vjp: d_weights, dx = ([np.zeros_like(w) for w in self.weights], np.zeros_like(x)) -> "
    "d_weights, dx = ([np.zeros_like(w) for w in self.weights], np.ones_like(x))": "every step of dx is written",
    "unroll._vjp: for total, d in zip(d_weights, step.weights) -> for total, d in zip(step.weights, d_weights)": "a sum commutes",
}

GIVEN = "laws give no options; tests/test_modern.py gives rng and dtype"
TIE = "at a tie both sides are equal, and there is no derivative"
ONE = "one gate for each row: the axis has length 1"
TWO = "of two axes the last is axis 1"
LIST = "a list, a tuple and a range serve alike"
EQUIVALENT_BY_RULE = [  # (expression that the key of a mutant of cells/modern has, why it computes the same thing)
    (
        r"__init__: self\.b = np\.zeros\(.*np\.ones\(",
        "a problem fills all weights; tests/test_modern.py holds fresh biases to zero",
    ),
    (r"__init__: rng = | -> super\(\)\.__init__\(input_features, state_size, (rng=rng|dtype=dtype)\)$", GIVEN),
    (
        r" -> self\.projected = (2|\(input_features \+ 1\) // 2|\(?state_size \+ (1|2)(\) // (1|2))?)$",
        "a cell of other shapes, which it declares",
    ),
    (r" -> .*(swapaxes\(1, 0\)|swapaxes\(a, -2, -1\)|axis=\(2, 1\))", "two axes are exchanged, or summed, in any order"),
    (r" -> .*\b(v|u|dy|d_sum|B|C|d_recalled)\[:, None\](?! \* C)", "axes that an index does not name are kept"),
    (r"(gated_delta|mlstm)\._.* -> .*\b(alpha|keep)\[:, None", ONE),
    (r"mlstm_chunks\..* -> .*\blast\[:, 0, None", ONE),
    (r"_chunks\..* -> .*(\b0\)|log_f|None\]\)|last)\[\.\.\., -1\]|_chunks\..* -> .*old\[:, -1, -1\]", ONE),
    (r"np\.eye\(A\.shape\[(1|-2)\]", "A is square"),
    (r"dn_new \* n_new\)\.sum\(axis=1|log_a\.shape\[1\]", TWO),
    (r"(old\.real >= i|np\.abs\(nq\.real\) >= least)\.real", TIE),
    (r" -> .*np\.where\(on, x, (1|-1)\)", MASKED),
    (r"dp = \[| -> .*axis=-1\), range\(", LIST),
    (r"chunks\._apply: .* -> .*np\.ones\(self\._output_shapes", "an array without entries"),
    (r"for total, d in zip\(more, weights\)", "a sum commutes"),
    (r"np\.take_along_axis\(G, top\)", "the last axis is the default"),
    (r"while reach <= len\(a\)", "one more pass has nothing to join"),
    (r"scan\.Scan: .* -> .*\(Unroll\(Step\),", "the unrolled step, which computes the same numbers"),
    (r"scan\._apply: .* -> return \(hs\[-1\],", "vjp does not read the last h"),
    (
        r"slstm\.class: .* -> .*\('(n', 'c', 'm', 'h|c', 'm', 'n', 'h|c', 'n', 'h', 'm)'\)",
        "names alone: laws go by the position, and hold for a negative n as well",
    ),
    (r"rg_lru\.through: .* -> .*(root|speed), 2\)", "where this number is the divisor, another factor is 0"),
]


IN_ONE_CELL = [  # as above, for edits that have an effect in another cell of the same file, but not in this one
    (r"unroll\._apply: .* -> .*(new\[(-0|1)\]|_output_shapes\(\)\[1\])", "the same place, counted from the other end"),
    (r"unroll\._output_shapes: .* -> .*states\[(-2|1)\]", ALIKE),
    (r"(rnn|lstm|gru)\.__init__: super.* -> super.*\(state_size, state_size\)$", "in a sequence its step checks no features"),
    (r"gru\._apply: .* -> .*\(x, h\.copy|lstm\._apply: .*, c_new\)$", "in a sequence nobody else holds this array"),
    (r"modern\.gated(_delta)?\..* -> .*(axis=1\b|range\(1\))", "in a step cell the last of two axes is axis 1"),
    (r"modern\.gated\.gates: .* -> .*(\[:1\]|self\.widths\[:-1\])", "two gates have one cut between them"),
    (r"modern\.linear\._vjp: .* -> return Gradients\(weights, dx", "the step has no further weights"),
    (r"modern\.rg_lru\.through: .* -> .*range\((1|[ai]\.ndim - 1)\)", "these arrays have the same axes"),
]


def equivalent(key, alone=False):
    """Why the mutant with this key computes the same thing, or None. alone: in a cell in which it survived, whatever others do."""
    rules = (EQUIVALENT_BY_RULE if key.startswith("modern.") else []) + IN_ONE_CELL * alone
    return EQUIVALENT.get(key) or next((reason for rule, reason in rules if re.search(rule, key)), None)
