"""Before any law: does the guest honour the contract at the smallest sizes, and what does it offer?

A broken convention is one line, once; what is wrong only at larger sizes or numbers is left to the laws, which find the smallest
counterexample.
"""

import contextlib
import difflib
import inspect
import io
import random
import re
import warnings
from dataclasses import dataclass, field, replace
from itertools import product
from numbers import Integral
from pathlib import Path
from time import perf_counter

import numpy as np
from cellcheck.cells import lift
from cellcheck.cells.contract import Cell
from cellcheck.cells.lift import DECLARED, Unwanted, by_signal, is_shape, near
from cellcheck.cells.spec import SIZES as SPEC_SIZES
from cellcheck.cells.spec import fit
from cellcheck.properties.intake import conventions
from cellcheck.properties.intake.capabilities import MODERN, missing
from cellcheck.properties.intake.loading import GuestError
from cellcheck.properties.intake.raised import complaint, internal, place
from cellcheck.properties.intake.surroundings import Replaced, restored
from cellcheck.properties.verdicts.limits import Hang, limited
from cellcheck.properties.verdicts.run import both, claimed, outcome
from cellcheck.properties.writing.text import several
from cellcheck.strategies import Problem
from cellcheck.strategies.problem import another

SIZES = ((1, 1), (2, 3), (3, 2))  # (features, state), at batch 1
PROBES = [Problem(3, 2, 3, steps=4, seed=seed, scale=0.5) for seed in (1, 2, 3)]  # where every weight should have an effect
MORE = [Problem(3, 2, 3, steps=4, seed=seed, scale=2.0) for seed in range(4, 36)]  # where it may have one
HUGE = 2**24  # of any size
LONG = 0.1  # seconds for a call of apply and vjp
PATIENCE = 3.0  # seconds to look for a problem on which a weight has an effect
KINDS = tuple(conventions.GATES)
SOURCES = ("x", "h", "bias", "bias_x", "bias_h")
SECONDS = 30.0  # for the whole pre-flight, unless --limit is given
TRIED = {"features": (1, 2, 3, 4), "state": (1, 2, 3, 4, 8)}  # sizes of a guest that raises at some of SIZES
ROUNDED = 64  # units, in which sums of a few numbers of any order agree
CLIPPED = 0.02  # a share of the largest gradient of an array: float16 rounds by less, and a clip that acts changes more
BELOW = 1 / 2  # the share of a declared clip to which upstreams and gradients are scaled; nothing should be clipped there
UNSTEADY = 2.0**10  # two runs that differ by more units do so by more than rounding
# Names of methods that differentiate.
BACKWARDS = re.compile(r"(?i)_?(back(?!end|up|ground)|bwd|grad|bptt|adjoint|vjp|vpj|pullback)")
CHOICES = {  # what each may be
    "clip": (lambda v: isinstance(v, (int, float)) and v > 0, "the limit, a positive number"),
    "mean": (lambda v: isinstance(v, bool), "True or False"),
    "truncated": (lambda v: isinstance(v, int) and v >= 1, "a number of steps"),
    "float32": (lambda v: isinstance(v, bool), "True or False"),
    "dropout": (lambda v: v in ("elements", "units"), "'elements' (a mask for each row) or 'units' (one mask for all rows)"),
    "time": (lambda v: isinstance(v, bool), "True or False"),
    "batch": (lambda v: isinstance(v, bool), "True or False"),
    "future": (lambda v: isinstance(v, bool), "True or False"),
}


@dataclass
class Cleared:
    """A guest that may be verified: its factory, lines about it for the head of the run, and the sizes at which alone it does not raise."""

    Cell: object
    notes: list = field(default_factory=list)
    only: str = ""


def cleared(text, Guest, limit=SECONDS):
    """The guest, once it honours the contract. text: as given to --cell; limit: in seconds.

    Raises GuestError, one line that says what to fix.
    """
    notes, only = [], ""
    with allowed(text, "calling it at small sizes", limit), np.errstate(all="ignore"), _watched(notes):
        declared, fewest = _sizes(Guest, notes)
        if declared:
            Guest, only = lift(Guest, **declared), _told(declared["sizes"])
        declared["idle"] = tuple(_check_live(lift(Guest), notes))
        Guest = lift(Guest, idle=declared["idle"])
        _check_clip(lift(Guest), notes)
        declared |= {"fewest_steps": fewest} if fewest else {}
        notes += ["takes no empty sequence"] * bool(fewest)
        notes += _blind(lift(Guest).spec()) + _constant(lift(Guest)) + _unsteady(lift(Guest))
        notes += (narrow := _narrow(lift(Guest)))
        declared |= {"narrow": True} if narrow else {}
        notes += (pooled := _pooled(lift(Guest)))
        declared |= {"pooled": True} if pooled else {}
        notes += _unlisted(lift(Guest))
        notes += _misspelled(Guest) + _ignored(Guest) + _slow(lift(Guest))
        found, said = _convention(lift(Guest, **declared))
    return Cleared(lift(Guest, **declared, **found), [*said, *notes], only)


@contextlib.contextmanager
def allowed(text, doing, limit):
    """Run code of a guest: what it must not do raises GuestError. doing: what takes the time, for the message; limit: in seconds."""
    try:
        with restored(), limited(limit):
            yield
    except Hang as hang:
        raise GuestError(f"--cell {text}: {doing} {hang}; --limit SECONDS allows more") from None
    except Replaced as replaced:
        raise GuestError(f"--cell {text}: {replaced}; keep NumPy as it is, since the laws compute with it") from None
    except Refusal as refusal:
        raise GuestError(f"--cell {text}: {refusal}") from None
    except GuestError:
        raise
    except BaseException as error:  # such as pytest's skip at import, or an error of ours
        if not isinstance(error, Exception) and by_signal(error):
            raise
        raise GuestError(f"--cell {text}: {internal(error) or f'{doing} raised {complaint(error, Path.cwd())}'}") from None


class Refusal(Exception):
    """What is wrong with a guest, without its name."""


class Raised(Refusal):
    """The guest raised something."""


def _sizes(Guest, notes):
    """Check the guest at SIZES, or at the declared sizes that stand for them: ({}, the fewest steps that it takes).

    If it declares none and raises at some, the sizes that it takes are found and noted: ({"sizes": ...}, the fewest steps).
    """
    if _declared(Guest):
        return {}, max(_checked(Guest, *pair) for pair in _fitting(Guest, SIZES))
    try:
        return {}, [_checked(Guest, *pair) for pair in SIZES][-1]
    except Raised as refusal:
        takes, refusals = {}, [refusal]
        for pair in product(*TRIED.values()):
            try:
                takes[pair] = _checked(Guest, *pair)
            except Refusal as other:
                refusals.append(other)
        sizes = _described(set(takes))
        if takes and all(re.match("vjp|backward", str(other)) for other in refusals):
            raise Raised(
                f"{refusal}; its forward pass takes all sizes that were tried; if its gradients need others, declare sizes"
            ) from None
        if takes and all(features == state for features, state in takes) and _exchanged(Guest):
            told = "it works with the two sizes exchanged: make it as (features, state), as in Cell = lambda features, state:"
            name = getattr(Guest, "__name__", "")
            raise Raised(f"{refusal}; {told} {name if name.isidentifier() else 'cell'}(state, features)") from None
        if set(takes) == {(1, 1)}:
            told = "it takes one feature and one unit alone: declare the order of its axes, or sizes = {'features': (1,), 'state': (1,)}"
            raise Raised(f"{refusal}; {told}") from None
        if not takes and (fixed := _shapes(Guest)) == {()}:
            raise Raised(
                f"{refusal}; it has no weights: say where an object keeps them, as adapt(..., weights='W U b')"
            ) from None
        if not takes and len(fixed) == 1:
            told = f"its weights are {', '.join(map(str, *fixed))} whatever the sizes; declare them"
            raise Raised(f"{refusal}; {told}, as sizes = {{'features': (4,), 'state': (8,)}}") from None
        if not sizes:
            raise
        notes.append(f"{refusal}; verified with {_told(sizes)} alone")
        return {"sizes": sizes}, max(takes.values())


def _told(sizes):
    """Sizes in words."""
    told = " and ".join(f"{name} {', '.join(map(str, values))}" for name, values in sizes.items())
    return told.replace("features state", "as many features as units")


def _exchanged(Guest):
    """Whether it passes at SIZES if it is made as (state, features)."""
    with contextlib.suppress(Refusal):
        return bool([_checked(lambda features, state: Guest(state, features), *pair) for pair in SIZES])
    return False


def _shapes(Guest):
    """The different lists of shapes that its weights have at SIZES."""
    found = set()
    for pair in SIZES:
        with contextlib.suppress(Refusal):
            found.add(_tried("reading weights", lambda pair=pair: tuple(map(np.shape, Guest(*pair).weights))))
    return found


def _described(pairs):
    """A declaration of sizes that allows these pairs of TRIED and no others; empty if there is none, or all are allowed."""
    if not pairs:
        return {}
    if all(features == state for features, state in pairs):
        return {"features": ("state",)}
    values = {name: tuple(sorted({pair[k] for pair in pairs})) for k, name in enumerate(TRIED)}
    whole = pairs == set(product(*values.values()))
    return {name: values[name] for name in TRIED if values[name] != TRIED[name]} if whole else {}


def _declared(Guest):
    """The declared sizes of a class or factory, each checked."""
    own = getattr(Guest, "sizes", {}) if isinstance(Guest, type) else {}
    if isinstance(own, (list, tuple)):
        raise Refusal(f"sizes is {own!r}; give a dict, such as {{'state': (2, 4)}}")
    try:
        sizes = lift(Guest).sizes
    except Exception:  # checking it at SIZES says what is wrong
        return {}
    for name, values in sizes.items():
        least = 0 if name == "steps" else 1
        numbers = all(isinstance(n, (int, np.integer)) and n >= least for n in values)
        tied = name in ("features", "state") and values in (("features",), ("state",)) and values != (name,)
        if name not in SPEC_SIZES or not values or not (numbers or tied):
            meant = "" if name in SPEC_SIZES else near(name, SPEC_SIZES)
            meant += "; only for features and state may it be the name of the other size" * any(
                isinstance(n, str) for n in values
            )
            raise Refusal(f"sizes is {sizes!r}; give whole numbers from {least} on for any of {', '.join(SPEC_SIZES)}{meant}")
        if numbers and min(values) > HUGE:
            raise Refusal(f"sizes is {sizes!r}; give some up to {HUGE}: larger problems do not fit into memory")
    return sizes


def _fitting(Guest, pairs):
    """Each pair of (features, state) as the declared sizes have it."""
    return dict.fromkeys(tuple(fit(lift(Guest).sizes, dict(zip(SPEC_SIZES, pair))).values()) for pair in pairs)


def _checked(Guest, features, state):
    """Raise Refusal unless the guest honours the contract at these sizes; returns the fewest steps that it takes."""
    doing = f"constructing it with (features, state) = {(features, state)}"
    guest = _tried(doing, lambda: Guest(features, state), _factory)
    _check_weights(guest)
    _check_methods(guest)
    Cell = lift(Guest)
    cell = _tried("reading its declarations", lambda: Cell(features, state))
    _check_declarations(cell, features, state)
    fewest = _fewest_steps(Cell, features, state) if cell.spec.sequence else 0
    problem = Problem(1, features, state, steps=2, seed=1, scale=0.5)
    cell, x, s = _tried("filling its weights in place", lambda: problem.build(Cell))
    given = ", ".join(f"{n} {a.shape}" for n, a in zip(cell.spec.array_names[len(cell.weights) :], (x, *s)))
    called = f"{'apply' if cell.spec.full else 'forward'}({given})"
    outputs = _tried(called, lambda: cell.apply(x, *s), lambda error: _lacks(cell, error))
    _check_outputs(cell, called, outputs, x)
    if not cell.spec.forward_only:
        [upstream] = problem.upstreams(1, outputs, cell.spec)
        name = "vjp" if cell.spec.full else "backward"
        shown = ", ".join(str(u.shape) for u in upstream) if name == "vjp" else "a scalar"
        gradients = _tried(f"{name}({shown})", lambda: cell.vjp(*upstream), lambda error: _lacks(cell, error))
        _check_gradients(cell, f"{name}({shown})", gradients, (x, *s))
    _check_complex(Cell, cell, problem)
    return fewest


def _check_weights(guest):
    if not hasattr(guest, "weights"):
        torch = hasattr(guest, "named_parameters") and hasattr(guest, "state_dict")
        wrapped = f"; wrap a torch module, as in Cell = cellcheck.cells.adapters.torch_module({_called(guest)})" * torch
        if hasattr(type(guest), "weights"):  # a property that has raised AttributeError
            _tried("reading weights", lambda: guest.weights)
        raise Refusal(f"{_called(guest)} has no attribute weights; wanted the list of its arrays{wrapped}")
    weights = guest.weights
    if not isinstance(weights, (list, tuple)):
        raise Refusal(
            f"weights is a {type(weights).__name__}; wanted a list of arrays"
            + ", as list(weights.values())" * isinstance(weights, dict)
            + "; if it returns one, write @property above it" * callable(weights)
        )
    if not weights and not hasattr(guest, "vjp") and getattr(guest, "gradients", None) != ():
        raise Refusal("weights is empty; wanted the list of its arrays, or, of an operator without weights, apply and vjp")
    for k, w in enumerate(weights):
        made = {np.matrix: ", as np.asarray makes of it", np.ma.MaskedArray: ", as .filled(0) makes of it"}
        advice = next((text for kind, text in made.items() if isinstance(w, kind)), None)
        if not isinstance(w, np.ndarray) or advice:
            kind = type(w).__qualname__ if type(w).__module__ == "builtins" else f"{type(w).__module__}.{type(w).__qualname__}"
            advice = advice or "; keep NumPy arrays there, and copy them in each call" * hasattr(w, "shape")
            raise Refusal(f"weights[{k}] is a {kind}; wanted a numpy array{advice}")
        if w.dtype.kind != "f":
            parts = "; keep the real and the imaginary parts as two arrays" * (w.dtype.kind == "c")
            raise Refusal(f"weights[{k}] has dtype {w.dtype}; wanted floats, since weights are written in place{parts}")
        if w.dtype.itemsize > 8:
            raise Refusal(f"weights[{k}] has dtype {w.dtype}, more than the oracles compute in; wanted float64 or less")
        if not w.flags.writeable:
            raise Refusal(f"weights[{k}] is read-only; wanted an array that can be written in place")
        if any(w is other for other in weights[:k]):
            raise Refusal(f"weights[{k}] is the same array as an earlier one; wanted each array once")
        for j, other in enumerate(weights[:k]):
            if np.shares_memory(w, other):
                raise Refusal(f"weights[{k}] and weights[{j}] share numbers; wanted arrays that do not overlap in memory")


def _check_methods(guest):
    forward = "apply" if hasattr(guest, "apply") else "forward"
    if not hasattr(guest, forward):
        raise Refusal(f"{_called(guest)} has neither apply nor forward; see docs/plugging-in.md for adapters")
    wanted = {"apply": "vjp", "forward": "backward"}[forward]
    declared = getattr(guest, "gradients", None)
    for name in (forward, wanted):
        if getattr(guest, name, name) is None:
            raise Refusal(f"{name} is None; delete it, or write it as a method")
    if hasattr(guest, wanted) or (isinstance(declared, tuple) and not declared):
        return
    alike = [name for name in dir(guest) if BACKWARDS.match(name) and callable(inspect.getattr_static(guest, name))]
    if alike or forward == "forward":
        hint = f"; rename {alike[0]}, or" if alike else ";"
        raise Refusal(f"{_called(guest)} has {forward} but no {wanted}{hint} declare gradients = () to verify its outputs alone")


def _check_declarations(cell, features, state):
    if cell.spec.kind not in (*KINDS, *MODERN, None):
        raise Refusal(f"kind is {cell.spec.kind!r}; wanted one of {', '.join(KINDS)}, one of cellcheck.cells.modern, or None")
    unknown = set(cell.spec.gradients) - set(Cell.gradients)
    own = getattr(cell.guest, "gradients", ())
    if unknown or isinstance(own, str) or not (isinstance(own, tuple) or len(own)):
        alone = ", or () to verify the outputs alone" * (not unknown and not isinstance(own, str))
        raise Refusal(f"gradients is {own!r}; wanted a tuple out of {', '.join(Cell.gradients)}{alone}")
    if not isinstance(cell.spec.choices, dict) or set(cell.spec.choices) - set(CHOICES):
        raise Refusal(f"choices is {cell.spec.choices!r}; give a dict out of {', '.join(CHOICES)}")
    for name, value in cell.spec.choices.items():
        right, wanted = CHOICES[name]
        if not right(value):
            raise Refusal(f"choices has {name} = {value!r}; give {wanted}")
    _check_variant(cell.spec)
    _check_new_declarations(cell)
    if cell.spec.batch not in (None, 1):
        raise Refusal(f"batch is {cell.spec.batch!r}; wanted None (any number of rows) or 1")
    own = getattr(cell.guest, "dtypes", cell.spec.dtypes)
    if (own is not None and not own) or not all(map(_is_float, cell.spec.dtypes)):
        raise Refusal(f"dtypes is {own!r}; wanted a tuple of numpy.float64, numpy.float32 or both")
    names, found = getattr(cell.guest, "weight_names", None), {w.name for w in cell.spec.weights}
    if names is not None and (isinstance(names, str) or len(found) != len(cell.weights)):
        raise Refusal(f"weight_names is {names!r}; give a name of its own to each of the {len(cell.weights)} weights")
    if not all(isinstance(name, str) for name in cell.spec.state_names):
        raise Refusal(f"state_names is {cell.spec.state_names!r}; wanted names, the output last")
    if cell.spec.weight_blocks is not None:
        _check_blocks(cell, features, state)


def _is_float(dtype):
    """Whether NumPy knows this type of floats."""
    try:
        return np.dtype(dtype).kind == "f"
    except TypeError:
        return False


def _check_variant(spec):
    known = {name: wanted for name, (kinds, wanted) in conventions.VARIANTS.items() if spec.kind in (*kinds, None)}
    unknown = not isinstance(spec.variant, dict) or set(spec.variant) - set(known)
    if unknown:
        kind = f" for kind {spec.kind}" if spec.kind else ""
        raise Refusal(f"variant is {spec.variant!r}; give a dict out of {', '.join(known)}{kind}")
    for name, value in spec.variant.items():
        if isinstance(known[name], tuple):
            right, wanted = value in known[name], " or ".join(map(repr, known[name]))
        else:
            number = isinstance(value, (int, float, np.integer, np.floating)) and np.isfinite(value)
            right, wanted = number and (value > 0 or name not in conventions.CLIPS), known[name]
        if not right:
            raise Refusal(f"variant has {name} = {value!r}; give {wanted}")


def _check_new_declarations(cell):
    spec, guest = cell.spec, cell.guest
    for name, value in (("deterministic", spec.deterministic), ("sequence", getattr(guest, "sequence", False))):
        if not isinstance(value, bool):
            raise Refusal(f"{name} is {value!r}; give True or False")
    if spec.precision is not None and not (isinstance(spec.precision, float) and 0 < spec.precision < 1):
        raise Refusal(f"precision is {spec.precision!r}; give a unit roundoff, such as 2.0**-24")
    for name, least in (("fewest_steps", 0), ("most_steps", 1)):
        steps = getattr(guest, name, least)
        if not (isinstance(steps, Integral) and steps >= least) and (steps is not None or least == 0):
            raise Refusal(f"{name} is {steps!r}; give a whole number of at least {least}")
    if spec.chunk is not None and not (isinstance(spec.chunk, int) and spec.chunk > 0):
        raise Refusal(f"chunk is {spec.chunk!r}; give the number of steps that it takes at once")
    known = {*spec.array_names, *(name.strip("'") for name in spec.output_names)}
    blind = getattr(guest, "no_gradient", ())
    if isinstance(blind, str) or {name.strip("'") for name in blind} - known:
        raise Refusal(f"no_gradient is {blind!r}; give a tuple of names out of {', '.join(sorted(known))}")
    domains = getattr(guest, "domains", {})
    if not isinstance(domains, dict):
        raise Refusal(f"domains is {domains!r}; give a dict with names out of {', '.join(sorted(known))}")
    if unknown := sorted(map(str, set(domains) - known)):
        raise Refusal(f"domains names {', '.join(unknown)}; give names out of {', '.join(sorted(known))}")


def _check_blocks(cell, features, state):
    blocks = cell.spec.weight_blocks
    if not isinstance(blocks, (list, tuple)) or not all(isinstance(where, dict) for where in blocks):
        raise Refusal(f"weight_blocks is {blocks!r:.60}; give a list with a dict for each weight")
    if len(blocks) != len(cell.weights):
        raise Refusal(f"weight_blocks has {len(blocks)} entries for {len(cell.weights)} weights; wanted a dict for each")
    gates = conventions.GATES.get(cell.spec.kind) or {gate for known in conventions.GATES.values() for gate in known}
    for k, (weight, where) in enumerate(zip(cell.weights, blocks)):
        for (source, gate), index in where.items():
            if source not in SOURCES or gate not in gates:
                wanted = f"wanted a source of {', '.join(SOURCES)} and a gate of {', '.join(gates)}"
                raise Refusal(f"weight_blocks[{k}] names {(source, gate)}; {wanted}")
            shape = np.shape(_tried(f"weights[{k}][weight_blocks[{k}][{source!r}, {gate!r}]]", lambda w=weight, i=index: w[i]))
            wanted = (state,) if source.startswith("bias") else (features if source == "x" else state, state)
            wanted = wanted[::-1] if cell.spec.transposed else wanted
            if shape != wanted and not (source.startswith("bias") and sorted(shape) == sorted((1, state))):
                raise Refusal(f"weight_blocks[{k}][{source!r}, {gate!r}] picks an array {shape}; wanted {wanted}")


def _check_outputs(cell, called, outputs, x):
    spec = cell.spec
    if spec.scalar:
        [y] = outputs if len(outputs) == 1 else [None]
        if y is None or y.dtype.kind != "f" or y.shape != ():
            what = f"{len(outputs)} arrays" if y is None else f"an array {y.shape}" if y.dtype.kind == "f" else f"dtype {y.dtype}"
            what = "None" if y is not None and y.dtype == object and y.ndim == 0 and y[()] is None else what
            other = "; if it returns states or outputs, call it apply, and its backward vjp, or wrap it with adapt"
            other *= y is None or y.ndim > 0
            raise Refusal(f"{called} returned {what}; wanted a scalar, the sum of the new hidden state{other}")
    names = spec.output_names
    if len(outputs) != len(names):
        more = ("; if the last is no state, declare" if names else "; declare state_names, or") + " output = 'y'"
        more *= len(outputs) == len(names) + 1 and not spec.own_output
        more += ", since sequence = True" * (len(outputs) == len(names) - 1 and names[-1] == "ys")
        wanted = f"{len(names)}: {', '.join(names)}" if names else "none, since it has no states and no output"
        raise Refusal(f"{called} returned {len(outputs)} array{'s' * (len(outputs) != 1)}; wanted {wanted}{more}")
    rows = x.shape[spec.sequence]
    for name, y, wanted in zip(names, outputs, spec.outputs):
        axis = spec.batch_axis(name)
        shape = (*([] if axis is None else [rows] if axis == 0 else [len(x), rows]), *wanted.shape)
        if y.shape != shape:
            beside = "output_shape" if spec.own_output else "output = 'ys' and output_shape" if name == "ys" else None
            own = beside if beside and name == names[-1] else "state_shapes"
            more = f", or declare {own}" * (y.shape[: axis + 1] == shape[: axis + 1])
            raise Refusal(f"{called} returned {name} of shape {y.shape}; wanted {shape}{more}")
        counts = y.dtype.kind in "iu" and any(s.domain and s.domain.whole and f"{s.name}'" == name for s in spec.states)
        if y.dtype.kind != "f" and not counts:
            raise Refusal(f"{called} returned {name} of dtype {y.dtype}; wanted floats")
        if not np.isfinite(y).all():
            raise Refusal(f"{called} returned {name} = {y.tolist()} for small weights and inputs; wanted finite numbers")


def _check_gradients(cell, called, gradients, inputs):
    weights, x, state = gradients
    had, has = len(cell.spec.weights), len(cell.weights)
    if had != has:
        raise Refusal(f"weights had {had} arrays and has {has} after a call; make them with the cell, and keep the list as it is")
    if not has and isinstance(weights, (list, tuple)) and weights:
        raise Refusal(f"{called} gives {len(weights)} gradients for the weights, and weights is empty; list the arrays there")
    if "weights" in cell.spec.gradients:
        if not isinstance(weights, (list, tuple)):
            raise Refusal(
                f"{called} gives {type(weights).__name__} for the weights; wanted a list with one gradient for each weight"
            )
        if len(weights) != len(cell.weights):
            raise Refusal(
                f"{called} gives {len(weights)} gradients for {len(cell.weights)} weights; wanted one for each, same order"
            )
    names, n = cell.spec.state_names, len(cell.spec.inputs) - 1  # as many gradients of inputs come before those of the states
    if "state" in cell.spec.gradients and (not isinstance(state, (list, tuple)) or len(state) != n + len(names)):
        what = f"{len(state) - n} arrays" if isinstance(state, (list, tuple)) else type(state).__name__
        raise Refusal(f"{called} gives {what} for the states; wanted a tuple, one each for {', '.join(names)}")
    if "x" in cell.spec.gradients and x is None and cell.spec.inputs[0].differentiable:
        raise Refusal(f"{called} gives None for x; declare gradients without x if it has no such gradient")
    claims = [claim for claim, _ in claimed(cell, gradients, cell.spec.gradients)]
    for name, array, claim in zip(cell.spec.array_names, (*cell.weights, *inputs), claims):
        shape, wanted = np.shape(claim), array.shape
        if claim is not None and shape != wanted and shape != (1, *wanted):  # (batch, ...) is a bug that laws report
            raise Refusal(f"{called} gives a gradient {shape} for {name}; wanted {wanted}, the shape of {name}")


def _check_live(Cell, notes):
    """Writing into each of `weights` must move the outputs. Returns the names of those that have no effect, and no gradient.

    Both may be roundings, as of a bias that is added to all scores of a softmax. They are noted, as is a state
    without an effect. It is refused where no law would tell: in a cell that returns a sum or a loss, and if its matrix has none, too.
    """
    probed, moved, touched, claimed, states, silent = 0, set(), set(), set(), set(), True
    for problem in PROBES:
        cell, x, s = problem.build(Cell)
        try:
            outputs = [np.array(y) for y in cell.apply(x, *s)]
            silent &= not any(map(np.any, outputs))
            if "weights" in cell.spec.gradients:
                [upstream] = problem.upstreams(1, outputs, cell.spec)
                sizes = [
                    0.0 if g is None else np.max(np.abs(np.array(g, dtype=float)), initial=0.0) for g in cell.vjp(*upstream)[0]
                ]
                claimed |= {k for k, size in enumerate(sizes) if not size <= max(sizes) * _slack(cell.spec.dtype)}
            for k, (w, v) in enumerate(zip(cell.weights, problem.directions(cell.weights))):
                before = w.copy()
                w += 0.25 * v
                after = cell.apply(x, *s)
                moved |= {k} if not all(_alike(a, b) for a, b in zip(outputs, after)) else set()
                touched |= {k} if not all(map(np.array_equal, outputs, after)) else set()
                w[...] = before
            n = len(s) - len(cell.spec.states)
            for k, name in enumerate(cell.spec.state_names, n):
                others = [another(a, cell.spec.rest[k].domain) if j == k else a for j, a in enumerate(s)]
                others = cell.spec.folded([*cell.weights, x, *others])[len(cell.weights) + 1 :]
                after = cell.apply(x, *others)
                same = all(np.array_equal(a, b) for a, b in zip(outputs, after))
                states |= {name} if not same or np.array_equal(others[k], s[k]) else set()
        except (Exception, SystemExit):  # the laws report it, with the smallest batch at which it fails
            continue
        probed += 1
    names = cell.spec.array_names
    moved |= {k for k in range(len(cell.weights)) if probed and moved and k not in moved and _moves(Cell, k)}
    if probed and cell.weights and not moved:
        what = (
            "all that it returns is 0, whatever is written into weights"
            if silent
            else "writing into weights changes nothing that it returns"
        )
        raise Refusal(f"{what}; wanted the live arrays, not copies, and no kept results")
    idle = [k for k in range(len(cell.weights)) if k not in moved] if probed else []
    for k in idle:
        if k in claimed and cell.spec.weights[k].differentiable:
            which = f"weights[{k}]" + f" ({names[k]})" * (names[k] != f"weights[{k}]")
            raise Refusal(
                f"writing into {which} changes nothing that it returns, but it has a gradient; "
                "put the live array into weights, not a copy, and compute what is made of it anew in each call; or forward never uses it"
            )
        bare = ", and no gradient" * ("weights" in cell.spec.gradients and k not in claimed)
        notes.append(f"{names[k]} has no effect on what it returns{bare}")
    for name in cell.spec.state_names if probed else ():
        if name not in states and not _acts(Cell, name):
            cut = [names[k] for k in idle if k not in touched and cell.weights[k].ndim == 2]
            if cell.spec.scalar or cut:  # a loss has no outputs by which laws could tell; a matrix of h is cut off with h
                lost = several([name, *cut])
                raise Refusal(
                    f"{lost} {'have' if cut else 'has'} no effect on what it returns; use what it takes, or do not take it"
                )
            advice = f"it is ignored, or it is an output and no state: then do not take it, and declare output = {name!r}"
            notes.append(f"{name} has no effect on what it returns: {advice}")
    return [names[k] for k in idle]


def _moves(Cell, k):
    """Whether writing into weights[k] moves an output on one of many problems, as of few units that are rarely active."""
    began = perf_counter()
    for problem in MORE:
        if perf_counter() - began > PATIENCE:
            break
        try:
            cell, x, s = problem.build(Cell)
            outputs = [np.array(y) for y in cell.apply(x, *s)]
            w, v, least = cell.weights[k], problem.directions(cell.weights)[k], min(map(_most, (x, *s)))
            for much in {1.0, 1 / min(1.0, least or 1.0)}:  # tiny inputs need large weights
                w += much * v
                moved = not all(map(_alike, outputs, cell.apply(x, *s)))
                if moved and all(np.isfinite(y).all() for y in outputs):
                    return True
        except (Exception, SystemExit):
            continue
    return False


def _most(a):
    """The largest magnitude, 0 of nothing."""
    return float(np.max(np.abs(a), initial=0.0))


def _acts(Cell, name):
    """Whether a state moves an output at larger numbers, or where x is 0: it may count beyond a threshold alone."""
    for problem, large, some in product(PROBES, (4.0, 30.0), (0.0, 1.0, 4.0)):
        with contextlib.suppress(Exception, SystemExit):
            cell, x, s = problem.build(Cell)
            n, k = len(cell.weights), len(s) - len(cell.spec.states) + cell.spec.state_names.index(name)
            given = [np.asarray(large * a, a.dtype) for a in s]
            other = [another(a, cell.spec.rest[k].domain) if j == k else a for j, a in enumerate(given)]
            runs = [cell.spec.folded([*cell.weights, np.asarray(some * x, x.dtype), *states])[n:] for states in (given, other)]
            before, after = ([np.array(y) for y in cell.apply(*run)] for run in runs)
            if not all(map(np.array_equal, before, after)):
                return True
    return False


def _alike(a, b):
    """Whether outputs are the same but for their last digits."""
    return np.shape(a) == np.shape(b) and np.allclose(a, b, 0.0, _slack(a.dtype) * np.max(np.abs(a), initial=0.0))


def _slack(dtype):
    """What is no effect, and no gradient, as a share of the largest number."""
    return ROUNDED * float(np.finfo(dtype).eps) / 2


def _check_clip(Cell, notes):
    """Refuse a declared clip that changes gradients of half its size, or returns zeros beyond it; note one that never acts."""
    limit = Cell.spec().choices.get("clip")
    if not limit or not Cell.spec().takes_upstream or not Cell.spec().gradients:
        return
    acts = False
    for problem in PROBES:
        with contextlib.suppress(
            ArithmeticError, ValueError, IndexError, TypeError, AttributeError, RuntimeError
        ):  # for the laws
            cell, x, s = problem.build(Cell)
            [u] = problem.upstreams(1, cell.apply(x, *s), cell.spec)
            given = cell.vjp(*u)
            size = max(_norm(given), max(float(np.linalg.norm(a)) for a in u))
            low, high = (cell.clipped(*(np.asarray(a * (limit * share / size), a.dtype) for a in u)) for share in (BELOW, 64))
            acts |= _norm(high) < 0.9 * 64 * limit * _norm(given) / size
            for one, g in zip(_flat(low), _flat(given)):
                wanted = np.asarray(g, dtype=float) * (limit * BELOW / size)
                off = np.abs(np.asarray(one, dtype=float) - wanted)
                if np.max(off, initial=0.0) > CLIPPED * np.max(np.abs(wanted), initial=0.0):
                    at = np.unravel_index(np.argmax(off), off.shape)
                    raise Refusal(
                        f"choices has clip = {limit:g}, but a gradient of {wanted[at]:.3g} comes back as {float(one[at]):.3g}; "
                        "declare the limit at which it clips"
                    )
            large = [np.abs(np.asarray(g, dtype=float)) > 2 * limit * BELOW / 64 for g in _flat(low)]
            if any(np.ndim(h) > 1 and np.any(beyond) and not np.any(h[beyond]) for h, beyond in zip(_flat(high), large)):
                raise Refusal(
                    f"choices has clip = {limit:g}, but gradients beyond that come back as zeros; "
                    "cut them down to the limit, or declare no clip"
                )
    if not acts:
        notes.append(f"declares clip = {limit:g}, but clips nothing: take the declaration away")


def _norm(gradients):
    """The root of the sum of the squares of all gradients."""
    return float(np.sqrt(sum(np.sum(np.square(np.asarray(g, dtype=float))) for g in _flat(gradients))))


def _flat(gradients):
    """All gradients that there are, in a list."""
    weights, x, state = gradients
    xs = x if isinstance(x, tuple) else (x,)
    return [g for g in (*(weights or ()), *xs, *(state or ())) if g is not None]


def _check_complex(Cell, cell, problem):
    if cell.spec.complex is not True:
        return
    cell, x, s = problem.build(Cell)
    outputs = _tried("apply on complex x, as complex = True promises,", lambda: cell.apply(x + 0j, *s))
    if not all(np.iscomplexobj(y) for y in outputs):
        raise Refusal("complex = True, but apply returns real numbers for complex x; wanted complex ones, or complex = None")


def _fewest_steps(Cell, features, state):
    """1 where a sequence guest cannot take an empty sequence, or makes no arrays or no numbers of it, else 0.

    One that answers with states, but with wrong ones, takes it: the laws say what is wrong.
    """
    cell, x, s = Problem(1, features, state, steps=0, seed=1).build(Cell)
    if cell.spec.fewest_steps or len(x):
        return cell.spec.fewest_steps
    try:
        outputs = cell.apply(x, *s)
        named = dict(zip(cell.spec.output_names, outputs))
        finals = [(named.get(f"{name}'"), a) for name, a in zip(cell.spec.state_names, s)]
        if any(np.shape(y) == a.shape and not np.array_equal(y, a) for y, a in finals if y is not None):
            return 0
        _check_outputs(cell, "apply", outputs, x)
        if not cell.spec.forward_only:
            _check_gradients(cell, "vjp", cell.vjp(*map(np.zeros_like, outputs)), (x, *s))
    except Exception:
        return 1
    return 0


def _blind(spec):
    """Lines about what has no gradient, and about numbers that are not drawn."""
    lines = []
    if spec.detached:
        names, last = ", ".join(spec.detached), spec.output_names[-1]
        others = f"any output but {last}; those of {last} are, over some steps"
        new = "their new values" if len(spec.detached) > 1 else "its new value"
        lines.append(f"not verified: gradients of {names}, and of {others if spec.chained else new}")
    if blind := spec.blind:
        states = tuple(name.strip("'") for name in blind if name.strip("'") in spec.state_names)
        what = f"{several(states)} as {'a constant' if len(states) == 1 else 'constants'}" if states else ""
        hint = f"; if vjp treats {what}, declare no_gradient = {states!r}" if states else ""
        lines.append(f"takes no upstream for {', '.join(blind)}: its gradients are not verified, its values are{hint}")
    if spec.gradients and (silent := [w.name for w in spec.weights if not w.differentiable]):
        lines.append(f"not verified: gradients of {', '.join(silent)}, listed in no_gradient")
    held = [a.name for a in spec.arrays if a.domain]
    return lines + [f"verified for {', '.join(held)} within the declared domains alone"] * bool(held)


def _constant(Cell):
    """A line about states that depend on x, but whose upstreams give zero gradients."""
    spec = Cell.spec()
    if spec.scalar or not {"weights", "x"} <= set(spec.gradients) or "x" not in spec.offers:
        return []
    cell, x, rest = PROBES[0].build(Cell)
    found = []
    with contextlib.suppress(Exception):  # the laws report it
        others = [np.array(y) for y in cell.apply(*spec.folded([*cell.weights, -x, *rest])[len(cell.weights) :])]
        outputs = [np.array(y) for y in cell.apply(x, *rest)]
        for k, name in enumerate(spec.state_names):
            ways = PROBES[0].directions(outputs)  # not all alike: the sum of a softmax is constant
            gradients = cell.vjp(*(np.asarray(v * (j == k), y.dtype) for j, (v, y) in enumerate(zip(ways, outputs))))
            silent = not any(np.any(claim) for claim, _ in claimed(cell, gradients, spec.gradients) if claim is not None)
            if spec.outputs[k].differentiable and silent and not np.array_equal(outputs[k], others[k]):
                found.append(name)
    told = f"upstreams of {', '.join(found)} give zero gradients; if vjp treats that as a constant, declare no_gradient = "
    return [told + repr(tuple(found))] * bool(found)


def _narrow(Cell):
    """A line about a last state that the cell takes within 1 alone, as one does that goes through a logarithm."""

    def finite(problem):
        with contextlib.suppress(Exception):
            return all(np.isfinite(y).all() for y in both(Cell, problem).values())
        return False

    states = Cell.spec().states
    if not states or states[-1].domain or not all(map(finite, PROBES)):
        return []
    name = states[-1].name
    told = f"{name} is drawn within 1: beyond it, the cell returns no finite numbers; if it may be larger, declare domains"
    return [f'{told} = {{"{name}": (-40, 40)}}'] * (not all(finite(replace(p, regime="large states")) for p in PROBES))


def _pooled(Cell):
    """A line about an output without steps that is made of several steps, as a mean is, and not of the last state or step alone."""
    spec = Cell.spec()
    name = spec.output_names[-1]
    if name == "ys" or not spec.own_output or missing(Cell, ("sequence", "finals")):
        return []

    def ran(p, states):
        return [np.array(y, dtype=float) for y in p.build(Cell)[0].apply(p.x.copy(), *map(np.copy, (*p.further, *states)))]

    def pooled(p):
        """Whether it is another one when only the later steps are run, and still one of the last step: a stale output is neither."""
        k = p.cut()
        *between, _ = ran(p.span(slice(k)), p.states)
        late, other = p.span(slice(k, None)), p.elsewhere(slice(p.steps - 1, None))
        (*finals, whole), (*again, part), (*_, moved) = ran(p, p.states), ran(late, between), ran(other, p.states)
        return all(map(np.allclose, finals, again)) and not np.allclose(whole, part) and not np.allclose(whole, moved)

    with contextlib.suppress(Exception):  # the laws report it
        if all(pooled(p.literal(Cell)) for p in PROBES):
            return [f"{name} is made of several steps, as a mean is: laws that cut a sequence compare the states alone"]
    return []


def _unlisted(Cell):
    """A line about arrays that an instance keeps and reads, and that are no weights: nothing verifies a gradient of them."""
    found, spec = [], Cell.spec()
    if "weights" not in spec.gradients or not spec.deterministic:
        return []
    with contextlib.suppress(Exception):  # the laws report it
        cell, x, rest = PROBES[0].build(Cell)
        before = [np.array(y) for y in cell.apply(x, *rest)]
        cell, x, rest = PROBES[0].build(Cell)
        floats = {name: a for name, a in vars(cell.guest).items() if isinstance(a, np.ndarray) and a.dtype.kind == "f"}
        for name, a in floats.items():
            if not a.flags.writeable or any(np.shares_memory(a, w) for w in cell.weights):
                continue
            kept = a.copy()
            try:
                a += 0.25
                after = [np.array(y) for y in cell.apply(x, *rest)]
                found += [name] * (not all(np.array_equal(y, z, equal_nan=True) for y, z in zip(before, after)))
            finally:
                a[...] = kept
    return [f"reads {', '.join(found)}, which weights does not have: no gradient of that is verified"] * bool(found)


def _ignored(Guest):
    """Lines about shapes that are none: a guest may keep something of its own under these names."""
    cell = lift(Guest)(2, 3)
    shapes = {name: getattr(cell.guest, name, None) for name in ("input_shape", "output_shape")}
    inputs = getattr(cell.guest, "inputs", None)
    shapes |= {f"inputs[{name!r}]": shape for name, shape in inputs.items()} if isinstance(inputs, dict) else {}
    odd = {
        name: shape
        for name, shape in shapes.items()
        if isinstance(shape, (int, str)) or (isinstance(shape, tuple) and not is_shape(shape))
    }
    return [
        f"{name} is {shape!r}, which is no shape, and ignored; a shape is a tuple of whole numbers" for name, shape in odd.items()
    ]


def _misspelled(Guest):
    """Lines about attributes of a class whose names are nearly those of declarations. Raises Refusal where one is meant for sure."""
    Guest = lift(Guest).Guest
    own = (
        [name for name, value in vars(Guest).items() if not name.startswith("_") and not callable(value)]
        if isinstance(Guest, type)
        else []
    )
    close = {name: difflib.get_close_matches(name.lower(), DECLARED, 1, 0.8) for name in own if name not in DECLARED}
    for name, found in close.items():
        if (
            found
            and len(name) > 7
            and name.rstrip("s") != found[0].rstrip("s")
            and difflib.get_close_matches(name, found, 1, 0.85)
        ):
            raise Refusal(f"{name} is no declaration; did you mean {found[0]}? If it is your own, give it another name")
    return [f"{name} is no declaration; if {found[0]} is meant, write that" for name, found in close.items() if found]


def _unsteady(Cell):
    """A line about a cell of which two fresh runs on the same numbers differ."""
    if not Cell.spec().deterministic:
        return []
    off, with_numbers = 0.0, (p.literal(Cell) for p in PROBES)
    with contextlib.suppress(Exception):  # the laws report it
        for p in with_numbers:
            one, other = (outcome(p.build(Cell)[0], p) for _ in range(2))
            off = max([off, *(float(np.max(np.abs(one[name] - other[name]), initial=0.0)) for name in one)])
    if off > UNSTEADY * Cell.spec().unit(Cell.spec().dtype):
        told = f"two fresh cells with the same weights and inputs differ by up to {off:.1g}"
        return [f"{told}: something else decides, such as what they draw"]
    told = f"two runs on the same numbers differ by up to {off:.1g}"
    return [f"{told}; if sums are taken in any order, declare deterministic = False"] * (off > 0)


def _slow(Cell):
    """A line about a cell that takes long at small sizes, where it has run before."""
    with contextlib.suppress(Exception):  # the laws report it
        p = PROBES[0].literal(Cell)
        cell, start = p.build(Cell)[0], perf_counter()
        outcome(cell, p)
        if (seconds := perf_counter() - start) > LONG:
            told = f"apply and vjp take {seconds:.1g} s at small sizes, and a run calls them thousands of times"
            return [f"{told}: verify a part first, as with --profile quick -k weight_gradients"]
    return []


def _factory(error):
    """What to do about a constructor that wants other arguments: none of its own lines has run."""
    other = isinstance(error, TypeError) and "argument" in str(error) and not place(error)
    return "; if it takes other arguments, name a function (features, state) that returns the cell" if other else ""


def _lacks(cell, error):
    """The declaration that a guest seems to lack, from what it raised."""
    spec, method = cell.spec, cell.guest.apply if cell.spec.full else cell.guest.forward
    wanted = [p.name for p in inspect.signature(method).parameters.values() if p.kind == p.POSITIONAL_OR_KEYWORD]
    given = 1 + len(spec.rest)
    if isinstance(error, TypeError) and len(wanted) > given and len(spec.inputs) == 1:
        return f"; if it takes several inputs, declare inputs = {tuple(wanted[: len(wanted) - len(spec.states)])!r}"
    if isinstance(error, IndexError) and "integer" in str(error) and not spec.bounded:
        return f"; if {spec.inputs[0].name} holds whole numbers, declare domains = {{'{spec.inputs[0].name}': 'tokens'}}"
    return ""


def _convention(Cell):
    """What the search unlocks, and a line about it."""
    if Cell.spec().kind in MODERN:
        return {}, []
    sizes = conventions.distinct(Cell.sizes)
    if sizes is None:
        return {}, [
            "convention not verified: the search needs two different numbers of features and units, which sizes leave out"
        ]
    cell = Cell(*sizes)
    if not cell.spec.plain:
        what = (
            "domains limit its numbers"
            if cell.spec.bounded
            else "its inputs, states or output are not those of an RNN, LSTM or GRU"
        )
        return {}, [f"convention not verified: {what}"]
    if cell.spec.kind and cell.spec.weight_blocks:
        return {}, _contradictions(Cell, cell)
    found = conventions.search(Cell)
    if found is None:
        return {}, ["convention not verified: the shapes of its weights are those of no RNN, LSTM or GRU"]
    if found.difference > conventions.match(cell.spec):
        near = f"; nearest is {found} (largest difference {found.difference:.1g})" * bool(np.isfinite(found.difference))
        return {}, [f"computes none of the known conventions{near}"]
    if found.swapped:
        return {}, [_output_first(cell, found)]
    if found.kind == "LSTM" and len(cell.spec.state_names) < 2:
        told = f"computes {found}, from c = 0 in each call: convention not verified, since it does not take c"
        return {"memory": True}, [told]
    if cell.spec.kind and cell.spec.kind != found.kind:
        raise Refusal(f"kind is {cell.spec.kind!r}, but it computes {found}")
    if found.rivals:
        fits = " and ".join(map(str, (found, *found.rivals)))
        return {}, [f"convention not verified: {fits} agree on everything that it takes"]
    told = ""
    if not cell.spec.kind and (gap := conventions.departure(Cell, found)):
        told = f"it computes {found.unclipped()}, but differs by up to {gap:.1g} where numbers are large, as if some were clipped"
    elif not cell.spec.kind and conventions.skips(Cell):
        told = f"it computes {found}, but keeps its states where x is 0, as masking does"
    if told:
        return {}, [f"convention not verified: {told}; if it should not, declare kind and weight_blocks"]
    return found.declared(), [", ".join(filter(None, [f"computes {found}", found.frameworks()]))]


def _output_first(cell, found):
    """A line about a cell of a known kind whose states are in the other order. Raises Refusal if it declares that kind."""
    names = cell.spec.state_names
    told = f"its states are ordered {', '.join(names)}, the output first"
    where = "in state_names and in what apply and vjp take and return" if cell.spec.full else "in what forward takes"
    last = f"the output last: {', '.join(reversed(names))}, {where}"
    if cell.spec.kind:
        raise Refusal(f"{told}; wanted {last}, as in a subclass that exchanges them")
    return f"convention not verified: it computes {found}, but {told}; to verify the equations, put {last}"


def _contradictions(Cell, cell):
    """A line where a guest that declares its gates computes those of another order."""
    gap = conventions.declared_difference(Cell)
    if gap <= conventions.match(cell.spec):
        return []
    found = conventions.search(Cell)
    if found is None or found.difference > conventions.match(cell.spec):
        return [f"declares {cell.spec.kind}, but computes something else (largest difference {gap:.1g})"]
    if found.swapped:
        _output_first(cell, found)
    return [f"declares {cell.spec.kind}, but computes {found}{conventions.swaps(cell, found)}"]


def _tried(doing, call, lacks=lambda error: ""):
    """What the call returns; whatever it raises is a Refusal that says what was being done. lacks: what to add to that."""
    try:
        return call()
    except (Refusal, Hang):
        raise
    except Unwanted as error:
        raise Raised(str(error)) from None
    except (Exception, SystemExit, KeyboardInterrupt) as error:
        if not isinstance(error, Exception) and by_signal(error):
            raise
        raise Raised(f"{doing} raised {complaint(error, Path.cwd())}{lacks(error)}") from None


@contextlib.contextmanager
def _watched(notes):
    """Note what a guest prints, what it warns of and whether it draws from the global random state; restore the latter."""
    text = io.TextIOWrapper(io.BytesIO(), "utf-8", "replace", write_through=True)
    state, plain = np.random.get_state(), random.getstate()
    try:
        with warnings.catch_warnings(record=True) as seen, restored(text, text) as changed:
            warnings.simplefilter("always")
            yield
    finally:
        drawn = not all(np.array_equal(a, b) for a, b in zip(state, np.random.get_state())) or plain != random.getstate()
        np.random.set_state(state)
        random.setstate(plain)
    said = text.buffer.getvalue().decode("utf-8", "replace").strip().splitlines()
    notes += [f"hazard: prints {line[:60]!r}" for line in said[:1]]
    notes += [f"hazard: warns {w.category.__name__}: {str(w.message).splitlines()[0][:80]}" for w in seen[:1]]
    notes += ["hazard: draws from the global random state of NumPy or Python"] * drawn
    notes += [f"hazard: changes {what}, which is restored" for what in changed]


def _called(guest):
    return f"{type(guest).__name__}"
