"""What a cell does that its reference does not: its gates in another order, its initial state, a step from which on it is wrong."""

from dataclasses import replace

import numpy as np
from cellcheck.cells.activations import sigmoid
from cellcheck.properties.intake.conventions import letters
from cellcheck.properties.intake.references import order_of
from cellcheck.properties.oracles import reference as oracle
from cellcheck.properties.reports.diagnosis.grown import PLAIN, same
from cellcheck.properties.verdicts.run import apply, vjp
from cellcheck.properties.writing.text import several

STEPS = 9  # enough for two borders of small chunks
MAPS = {  # what may be done to a state before the first step
    "tanh({})": np.tanh,
    "sigmoid({})": sigmoid,
    "exp({})": np.exp,
    "{} + 1/2 where positive, else sigmoid({})": lambda h: np.where(h >= 0, h + 0.5, sigmoid(h)),
    "-{}": np.negative,
    "relu({})": lambda h: np.maximum(h, 0),
    "softplus({})": lambda h: np.logaddexp(0, h),
    "2 {}": lambda h: 2 * h,
    "{} / 2": lambda h: h / 2,
}


def reference_faults(Cell):
    """Sentences about a cell that differs from its reference, [] where none fits."""
    spec = Cell.spec()
    chunk = spec.chunk or spec.reference.Cell.spec().chunk
    problem = replace(PLAIN, steps=max(STEPS, 2 * chunk + 1)) if chunk else replace(PLAIN, steps=STEPS)
    p = oracle.beside(Cell, problem)
    got, wanted = apply(Cell, p), oracle.outputs(p)
    wrong = [name for name, y in wanted.items() if not _near(p, got[name], y)]
    if not wrong:
        return _of_gradients(Cell, p, chunk)
    return _permuted(Cell, p) or _of_states(Cell, p) or _scaled(got, wanted, wrong) or _from_step(p, got, wanted, wrong, chunk)


def _near(p, a, b):
    return same(a, b, max(1e-8, 64 * p.spec.precision))


def _equal(p, one, other):
    return all(_near(p, one[name], y) for name, y in other.items())


def _permuted(Cell, p):
    """The gates that the same numbers serve in the two cells."""
    own, other = Cell(p.spec.features, p.spec.state).spec, p.spec.reference.cell(p.spec).spec
    if own.kind != other.kind or not (own.weight_blocks and other.weight_blocks):
        return []
    here, there = letters(own.kind, order_of(own)), letters(other.kind, order_of(other))
    if here == there or "gates" in p.spec.reference.matched:
        return []
    moved = [a for a, b in zip(here.split(), there.split()) if a != b]
    swapped = f": {moved[0]} and {moved[1]} are exchanged" if len(moved) == 2 else ""
    return [f"the weights are read as gates {here}, by the reference as gates {there}{swapped}"]


def _of_states(Cell, p):
    """What is done to an initial state, or in each step to the one before it."""
    got, wanted, ignored = apply(Cell, p), oracle.outputs(p), []
    for k, name in enumerate(p.spec.state_names):
        zero = _put(p, k, np.zeros_like)
        if _equal(p, apply(Cell, zero), got) and not _equal(p, oracle.outputs(zero), wanted):
            ignored.append(name)
    if ignored:
        are = "is" if len(ignored) == 1 else "are"
        return [f"the initial {several(ignored)} {are} ignored: with zeros instead, the outputs are the same"]
    if told := _mapped(Cell, p, "", "initial "):
        return [told]
    zero = replace(p, state=(*p.further, *map(np.zeros_like, p.states)))
    if any(map(np.any, p.states)) and _equal(p, apply(Cell, zero), oracle.outputs(zero)):
        return [f"from zeros it equals the reference: what is wrong is how the initial {several(p.spec.state_names)} enters"]
    if p.spec.sequence and p.steps > 1 and (told := _mapped(Cell, p.span(slice(1)), " in a single step", "")):
        return [told]
    return []


def _put(p, k, change):
    """The problem with change(state) in the place of its k-th state."""
    n = len(p.further)
    return replace(p, state=tuple(change(s) if j == n + k else s for j, s in enumerate(p.state)))


def _mapped(Cell, p, alone, initial):
    """Which function of a state makes the two equal, or None."""
    got, wanted = apply(Cell, p), oracle.outputs(p)
    for k, name in enumerate(p.spec.state_names):
        for text, change in MAPS.items():
            other, said = _put(p, k, change), text.replace("{}", name)
            if _equal(p, apply(Cell, other), wanted):
                return f"it equals the reference{alone} once its {initial}{name} is {said}, as the reference makes it"
            if _equal(p, got, oracle.outputs(other)):
                return f"it equals the reference{alone} once the reference's {initial}{name} is {said}, as the cell makes it"
    return None


def _scaled(got, wanted, wrong):
    """A constant factor of all that is wrong."""
    with np.errstate(all="ignore"):
        ratios = [np.ravel(np.asarray(got[name], dtype=float) / wanted[name]) for name in wrong]
    ratios = np.concatenate(ratios) if ratios else np.zeros(0)
    if ratios.size > 1 and np.isfinite(ratios).all() and np.ptp(ratios) <= 1e-6 * abs(ratios[0]):
        return [f"{several(wrong)} {'is' if len(wrong) == 1 else 'are'} {ratios[0]:.6g} times what the reference returns"]
    return []


def _from_step(p, got, wanted, wrong, chunk):
    """The step from which on the outputs of a sequence are wrong."""
    ys = p.spec.output_names[-1]
    if p.spec.batch_axis(ys) != 1:
        return [f"{several(wrong)} alone {'is' if len(wrong) == 1 else 'are'} wrong"] if len(wrong) < len(wanted) else []
    if ys not in wrong:
        return [f"{ys} is right in all steps, and {several(wrong)} wrong"]
    right = [_near(p, a, b) for a, b in zip(got[ys], wanted[ys])]
    first = right.index(False) if False in right else 0
    if not first:
        return []
    border = f", where chunk {first // chunk + 1} of {chunk} steps begins" if chunk and first % chunk == 0 else ""
    return [
        f"the first {first} of {len(right)} steps {'is' if first == 1 else 'are'} right; {ys} is wrong from step {first} on{border}"
    ]


def _of_gradients(Cell, p, chunk):
    """Which gradients are wrong, where all outputs are right."""
    got, wanted = vjp(Cell, p), oracle.gradients(p)
    wrong = [name for name, g in wanted.items() if name in got and not _near(p, got[name], g)]
    if not wrong:
        return []
    told = f"the outputs equal the reference's, but not the gradients of {several(wrong)}"
    x = p.spec.inputs[0].name
    if x in wrong and p.spec.batch_axis(x) == 1:
        right = [_near(p, a, b) for a, b in zip(got[x], wanted[x])]
        last = len(right) - right[::-1].index(False)
        border = f", where a chunk of {chunk} steps begins" if chunk and last % chunk == 0 else ""
        told += f", that of {x} before step {last}{border}" if last < len(right) else ""
    return _scaled(got, wanted, wrong) or [told]
