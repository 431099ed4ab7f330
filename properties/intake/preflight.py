"""Before any law: does the guest honour the contract at the smallest sizes, and what does it offer?

A broken convention is one line, once; what is wrong only at larger sizes or numbers is left to the laws, which find the smallest
counterexample.
"""

import contextlib
import io
import random
import warnings
from dataclasses import dataclass, field

import numpy as np
from cellcheck.cells import CELLS, lift
from cellcheck.cells.contract import Cell
from cellcheck.properties.intake import conventions
from cellcheck.properties.intake.loading import GuestError, load
from cellcheck.properties.intake.surroundings import Replaced, restored
from cellcheck.properties.verdicts.limits import EXAMPLE, Hang, limited
from cellcheck.properties.verdicts.run import array_names, output_names
from cellcheck.strategies import Problem

SIZES = ((1, 1), (2, 3))  # (features, state), at batch 1
KINDS = tuple(conventions.GATES)
SOURCES = ("x", "h", "bias", "bias_x", "bias_h")
SECONDS = 30.0  # for the whole pre-flight, unless --limit is given


@dataclass
class Cleared:
    """A guest that may be verified: its factory, and lines about it for the head of the run."""

    Cell: object
    notes: list = field(default_factory=list)


def chosen(texts, directory, limit=None, begin=lambda what, seconds: None):
    """The cells under test by name, and lines about each: the shipped ones, or the guests that `texts` ask for.

    texts: the values of --cell; directory: where relative paths and modules are looked for; limit: the value of --limit, in
    seconds; begin: called before each step, with what it is and its limit. Raises GuestError.
    """
    if not texts:
        return {Cell.__name__: Cell for Cell in CELLS}, []
    found, lines = {}, []
    for text in texts:
        if text in found:
            raise GuestError(f"--cell {text}: given twice")
        begin(f"importing {text}", limit or EXAMPLE)
        with _allowed(text, "importing it", limit or EXAMPLE):
            Guest = load(text, directory)
        begin(f"checking {text} before the laws", limit or SECONDS)
        one = cleared(text, Guest, limit or SECONDS)
        one.Cell.__name__ = text.rpartition(":")[2]
        found[text] = one.Cell
        lines += [f"{text}: {note}" for note in one.notes]
    return found, lines


def cleared(text, Guest, limit=SECONDS):
    """The guest, once it honours the contract. text: as given to --cell; limit: in seconds.

    Raises GuestError, one line that says what to fix.
    """
    notes = []
    with _allowed(text, "the smallest case", limit), _watched(notes), np.errstate(all="ignore"):
        for features, state in SIZES:
            fewest = _checked(Guest, features, state)
        declared = {"fewest_steps": fewest} if fewest else {}
        notes += ["takes no empty sequence"] * bool(fewest)
        found, said = _convention(lift(Guest, **declared))
    return Cleared(lift(Guest, **declared, **found), [*said, *notes])


@contextlib.contextmanager
def _allowed(text, doing, limit):
    """What the guest must not do meanwhile is a GuestError."""
    try:
        with restored(), limited(limit):
            yield
    except Hang as hang:
        raise GuestError(f"--cell {text}: {doing} {hang}; --limit SECONDS allows more") from None
    except Replaced as replaced:
        raise GuestError(f"--cell {text}: {replaced}; keep NumPy as it is, since the laws compute with it") from None
    except Refusal as refusal:
        raise GuestError(f"--cell {text}: {refusal}") from None


class Refusal(Exception):
    """What is wrong with a guest, without its name."""


def _checked(Guest, features, state):
    """Raise Refusal unless the guest honours the contract at these sizes; returns the fewest steps that it takes."""
    sizes = f"({features}, {state})"
    guest = _tried(f"constructing it with (features, state) = {sizes}", lambda: Guest(features, state))
    _check_weights(guest)
    _check_methods(guest)
    cell = _tried("reading its declarations", lambda: lift(lambda *_: guest)(features, state))
    _check_declarations(cell, features, state)
    fewest = _fewest_steps(Guest, features, state) if cell.sequence else 0
    problem = Problem(1, features, state, steps=2, seed=1, scale=0.5)
    cell, x, s = _tried("filling its weights in place", lambda: problem.build(lift(Guest)))
    given = ", ".join(f"{n} {a.shape}" for n, a in zip(array_names(cell)[len(cell.weights) :], (x, *s)))
    called = f"{'apply' if hasattr(cell.guest, 'apply') else 'forward'}({given})"
    outputs = _tried(called, lambda: cell.apply(x, *s))
    _check_outputs(cell, called, outputs, state, len(x) if cell.sequence else None)
    if not cell.forward_only:
        [upstream] = problem.upstreams(1, outputs)
        name = "vjp" if hasattr(cell.guest, "vjp") else "backward"
        shown = ", ".join(str(u.shape) for u in upstream) if name == "vjp" else "a scalar"
        _check_gradients(cell, f"{name}({shown})", _tried(f"{name}({shown})", lambda: cell.vjp(*upstream)), (x, *s))
    if (features, state) == SIZES[-1]:  # at size 1 a softmax is constant
        _check_live(Guest, outputs, problem)
    _check_complex(Guest, cell, problem)
    return fewest


def _check_weights(guest):
    if not hasattr(guest, "weights"):
        raise Refusal(f"{_called(guest)} has no attribute weights; wanted the list of its arrays")
    weights = guest.weights
    if not isinstance(weights, (list, tuple)):
        raise Refusal(
            f"weights is a {type(weights).__name__}; wanted a list of arrays"
            + ", as list(weights.values())" * isinstance(weights, dict)
        )
    if not weights:
        raise Refusal("weights is empty; wanted the list of its arrays")
    for k, w in enumerate(weights):
        if not isinstance(w, np.ndarray):
            raise Refusal(f"weights[{k}] is a {type(w).__name__}; wanted a numpy array")
        if w.dtype.kind != "f":
            raise Refusal(f"weights[{k}] has dtype {w.dtype}; wanted floats, since weights are written in place")
        if not w.flags.writeable:
            raise Refusal(f"weights[{k}] is read-only; wanted an array that can be written in place")
        if any(w is other for other in weights[:k]):
            raise Refusal(f"weights[{k}] is the same array as an earlier one; wanted each array once")


def _check_methods(guest):
    if hasattr(guest, "apply"):
        return
    if not hasattr(guest, "forward"):
        raise Refusal(f"{_called(guest)} has neither apply nor forward; see docs/plugging-in.md for adapters")
    if not hasattr(guest, "backward") and getattr(guest, "gradients", None) != ():
        raise Refusal(f"{_called(guest)} has forward but no backward; declare gradients = () to verify its outputs alone")


def _check_declarations(cell, features, state):
    if cell.kind not in (*KINDS, None):
        raise Refusal(f"kind is {cell.kind!r}; wanted one of {', '.join(KINDS)}, or None")
    unknown = set(cell.gradients) - set(Cell.gradients)
    own = getattr(cell.guest, "gradients", ())
    if unknown or isinstance(own, str):
        raise Refusal(f"gradients is {own!r}; wanted a tuple out of {', '.join(Cell.gradients)}")
    if not isinstance(cell.choices, dict) or set(cell.choices) - {"clip", "mean", "truncated", "float32"}:
        raise Refusal(f"choices is {cell.choices!r}; wanted a dict out of clip, mean, truncated and float32")
    if cell.batch not in (None, 1):
        raise Refusal(f"batch is {cell.batch!r}; wanted None (any number of rows) or 1")
    if not cell.dtypes or any(np.dtype(d).kind != "f" for d in cell.dtypes):
        raise Refusal(f"dtypes is {cell.dtypes!r}; wanted numpy.float64, numpy.float32 or both")
    if not all(isinstance(name, str) for name in cell.state_names):
        raise Refusal(f"state_names is {cell.state_names!r}; wanted names, the output last")
    if cell.weight_blocks is not None:
        _check_blocks(cell, features, state)


def _check_blocks(cell, features, state):
    blocks = cell.weight_blocks
    if not isinstance(blocks, (list, tuple)) or len(blocks) != len(cell.weights):
        raise Refusal(f"weight_blocks has {len(blocks)} entries for {len(cell.weights)} weights; wanted a dict for each")
    gates = conventions.GATES.get(cell.kind) or {gate for known in conventions.GATES.values() for gate in known}
    for k, (weight, where) in enumerate(zip(cell.weights, blocks)):
        for (source, gate), index in where.items():
            if source not in SOURCES or gate not in gates:
                wanted = f"wanted a source of {', '.join(SOURCES)} and a gate of {', '.join(gates)}"
                raise Refusal(f"weight_blocks[{k}] names {(source, gate)}; {wanted}")
            shape = np.shape(_tried(f"weights[{k}][weight_blocks[{k}][{source!r}, {gate!r}]]", lambda w=weight, i=index: w[i]))
            wanted = (state,) if source.startswith("bias") else (features if source == "x" else state, state)
            wanted = wanted[::-1] if cell.transposed else wanted
            if shape != wanted and not (source.startswith("bias") and sorted(shape) == sorted((1, state))):
                raise Refusal(f"weight_blocks[{k}][{source!r}, {gate!r}] picks an array {shape}; wanted {wanted}")


def _check_outputs(cell, called, outputs, state, steps):
    if cell.gist:
        [y] = outputs if len(outputs) == 1 else [None]
        if y is None or y.dtype.kind != "f" or y.shape != ():
            what = f"{len(outputs)} arrays" if y is None else f"an array {y.shape}" if y.dtype.kind == "f" else f"dtype {y.dtype}"
            raise Refusal(f"{called} returned {what}; wanted a scalar, the sum of the new hidden state")
    names = output_names(cell)
    if len(outputs) != len(names):
        raise Refusal(f"{called} returned {len(outputs)} arrays; wanted {len(names)}: {', '.join(names)}")
    for name, y in zip(names, outputs):
        wanted = () if cell.gist else (steps, 1, state) if name == "ys" else (1, state)
        if y.shape != wanted:
            raise Refusal(f"{called} returned {name} of shape {y.shape}; wanted {wanted}")
        if y.dtype.kind != "f":
            raise Refusal(f"{called} returned {name} of dtype {y.dtype}; wanted floats")
        if not np.isfinite(y).all():
            raise Refusal(f"{called} returned {name} = {y.tolist()} for small weights and inputs; wanted finite numbers")


def _check_gradients(cell, called, gradients, inputs):
    weights, x, state = gradients
    if "weights" in cell.gradients:
        if not isinstance(weights, (list, tuple)):
            raise Refusal(
                f"{called} gives {type(weights).__name__} for the weights; wanted a list with one gradient for each weight"
            )
        if len(weights) != len(cell.weights):
            raise Refusal(
                f"{called} gives {len(weights)} gradients for {len(cell.weights)} weights; wanted one for each, same order"
            )
    if "state" in cell.gradients and (not isinstance(state, (list, tuple)) or len(state) != len(cell.state_names)):
        what = f"{len(state)} arrays" if isinstance(state, (list, tuple)) else type(state).__name__
        raise Refusal(f"{called} gives {what} for the states; wanted a tuple, one each for {', '.join(cell.state_names)}")
    if "x" in cell.gradients and x is None:
        raise Refusal(f"{called} gives None for x; declare gradients without x if it has no such gradient")
    claims = [*(weights if "weights" in cell.gradients else cell.weights), x if "x" in cell.gradients else inputs[0]]
    claims += list(state if "state" in cell.gradients else inputs[1:])
    for name, array, claim in zip(array_names(cell), (*cell.weights, *inputs), claims):
        shape, wanted = np.shape(claim), array.shape
        if claim is not None and shape != wanted and shape != (1, *wanted):  # (batch, ...) is a bug that laws report
            raise Refusal(f"{called} gives a gradient {shape} for {name}; wanted {wanted}, the shape of {name}")


def _check_live(Guest, outputs, problem):
    """Writing into `weights` must move the outputs."""
    cell, x, s = problem.build(lift(Guest))
    for w in cell.weights:
        w += 0.25
    moved = _tried("applying it after its weights were written", lambda: cell.apply(x, *s))
    if all(np.array_equal(a, b) for a, b in zip(outputs, moved)):
        raise Refusal("writing into weights changes nothing that it returns; wanted the live arrays, not copies")


def _check_complex(Guest, cell, problem):
    if cell.complex is not True:
        return
    cell, x, s = problem.build(lift(Guest))
    outputs = _tried("apply on complex x, as complex = True promises,", lambda: cell.apply(x + 0j, *s))
    if not all(np.iscomplexobj(y) for y in outputs):
        raise Refusal("complex = True, but apply returns real numbers for complex x; wanted complex ones, or complex = None")


def _fewest_steps(Guest, features, state):
    """1 where a sequence guest cannot take an empty sequence, or makes no arrays or no numbers of it, else 0."""
    declared = getattr(Guest(features, state), "fewest_steps", 0)
    if declared:
        return declared
    try:
        cell, x, s = Problem(1, features, state, steps=0, seed=1).build(lift(Guest))
        outputs = cell.apply(x, *s)
        _check_outputs(cell, "apply", outputs, state, 0)
        if not cell.forward_only:
            _check_gradients(cell, "vjp", cell.vjp(*map(np.zeros_like, outputs)), (x, *s))
    except Exception:
        return 1
    return 0


def _convention(Cell):
    """What the search unlocks, and a line about it."""
    cell = Cell(conventions.FEATURES, conventions.STATE)
    if cell.kind and cell.weight_blocks:
        return {}, _contradictions(Cell, cell)
    found = conventions.search(Cell)
    if found is None:
        return {}, ["convention not verified: the shapes of its weights are those of no RNN, LSTM or GRU"]
    if found.difference > conventions.MATCH:
        return {}, [f"computes none of the known conventions; nearest is {found} (largest difference {found.difference:.1g})"]
    if found.swapped:
        names = ", ".join(reversed(cell.state_names))
        raise Refusal(f"its states are ordered {', '.join(cell.state_names)}, the output first; wanted the output last: {names}")
    if found.kind == "LSTM" and len(cell.state_names) < 2:
        told = f"computes {found}, from c = 0 in each call: convention not verified, since it does not take c"
        return {"memory": True}, [told]
    if cell.kind and cell.kind != found.kind:
        raise Refusal(f"kind is {cell.kind!r}, but it computes {found}")
    return found.declared(), [", ".join(filter(None, [f"computes {found}", found.frameworks()]))]


def _contradictions(Cell, cell):
    """A line where a guest that declares its gates computes those of another order."""
    gap = conventions.declared_difference(Cell)
    if gap <= conventions.MATCH:
        return []
    found = conventions.search(Cell)
    if found is None or found.difference > conventions.MATCH:
        return [f"declares {cell.kind}, but computes something else (largest difference {gap:.1g})"]
    return [f"declares {cell.kind}, but computes {found}{conventions.swaps(cell, found)}"]


def _tried(doing, call):
    """What the call returns; whatever it raises is a Refusal that says what was being done."""
    try:
        return call()
    except (Refusal, Hang):
        raise
    except (Exception, SystemExit) as error:
        said = (str(error).splitlines() or [""])[0]
        raise Refusal(f"{doing} raised {type(error).__name__}{f': {said}' if said else ''}") from None


@contextlib.contextmanager
def _watched(notes):
    """Note what a guest prints, what it warns of and whether it draws from the global random state; restore the latter."""
    text, state, plain = io.StringIO(), np.random.get_state(), random.getstate()
    try:
        with warnings.catch_warnings(record=True) as seen, restored(text, text) as changed:
            warnings.simplefilter("always")
            yield
    finally:
        drawn = not all(np.array_equal(a, b) for a, b in zip(state, np.random.get_state())) or plain != random.getstate()
        np.random.set_state(state)
        random.setstate(plain)
    said = text.getvalue().strip().splitlines()
    notes += [f"hazard: prints {line[:60]!r}" for line in said[:1]]
    notes += [f"hazard: warns {w.category.__name__}: {str(w.message).splitlines()[0][:80]}" for w in seen[:1]]
    notes += ["hazard: draws from the global random state of NumPy or Python"] * drawn
    notes += [f"hazard: changes {what}, which is restored" for what in changed]


def _called(guest):
    return f"{type(guest).__name__}"
