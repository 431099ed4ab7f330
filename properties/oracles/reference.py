"""The reference of a cell at the numbers of a problem: its outputs and gradients by the names of the cell."""

from dataclasses import replace

import numpy as np
from cellcheck.cells import lift
from cellcheck.cells.spec import fit
from cellcheck.properties.oracles.equations import STATES
from cellcheck.properties.oracles.function import rebound
from cellcheck.properties.oracles.noisy import noisy, spread
from cellcheck.properties.verdicts.run import joined, outcome
from cellcheck.strategies.problem import with_weights
from hypothesis import reject

LOW = 2.0**-24  # the unit from which on rounding is measured by random roundings


def beside(Cell, problem):
    """The literal problem of a cell that has a reference: sizes that both take, numbers that both hold, and the larger unit."""
    spec, refers = Cell.spec(), Cell.spec().reference.Cell.spec()
    fewest = max(spec.fewest_steps, refers.fewest_steps if spec.sequence and refers.sequence else 0)
    if not hasattr(problem, "recipe"):
        sizes = spec.reference.sizes
        problem = replace(problem, **fit(sizes, {name: getattr(problem, name) for name in sizes}))
        problem = replace(problem, steps=max(problem.steps, fewest))
    p = problem.literal(Cell)
    if p.steps < fewest:
        reject()
    other = p.spec.reference.cell(p.spec).spec
    unit = max(p.spec.unit(p.x.dtype), other.unit(other.dtype))

    def held(array):
        return array.astype(np.result_type(other.dtype, np.float16)).astype(array.dtype)

    given = [tuple(map(held, u)) for u in p.given]
    moved = replace(p, weights=[*map(held, p.weights)], x=held(p.x), state=tuple(map(held, p.state)), given=given)
    return replace(moved, spec=replace(p.spec, precision=unit, fewest_steps=fewest))


def outputs(p):
    """What the reference returns on a literal problem, by the names of the cell's outputs."""
    run = _of_rows(p, lambda rows: Beside(rows).outputs())
    return {name: _stored(p, run[name]) for name in p.spec.output_names}


def gradients(p):
    """The gradients of the reference for the first upstream of a literal problem, by the names of the cell's arrays.

    What either of the two has no gradient of is left out.
    """
    return {name: _stored(p, g) for name, g in _of_rows(p, lambda rows: Beside(rows).gradients()).items()}


def handed_over(p, own, then):
    """The outputs of all steps of a literal problem, the first by one cell and the rest by the other.

    own: a function (problem) -> the outputs of the cell by name; then: own if the cell takes over from the reference, else None.
    """
    k = p.cut()
    before = (outputs if then else own)(p.span(slice(k)))
    rest = p.span(slice(k, None))
    states = tuple(np.asarray(before[f"{s.name}'"], p.x.dtype) for s in p.spec.states)
    rest = replace(rest, state=(*rest.further, *states))
    after = (then or outputs)(rest)
    if rest.lost(states, after.values()):
        reject()
    return {name: np.concatenate([before[name], y]) if name == "ys" else y for name, y in after.items()}


def roundings(Cell, p, part, own=True):
    """A function of a number of draws: how far random roundings at the unit of the problem move what `part`, outputs or gradients,
    returns: the larger of the moves of the reference and of the cell. Where those of the cell are not known, as of compiled code, the
    activations of the reference are rounded by u itself; own: whether to ask the cell at all.

    None if the roundings of the reference are not known, or if those of the cell are not and it is no RNN, LSTM or GRU.
    """
    other, unit = p.spec.reference, p.spec.precision
    spec = other.cell(p.spec).spec
    if unit < LOW or spec.unit(spec.dtype) > unit**2 or not lift(other.Cell).Guest.__module__.startswith("cellcheck.cells."):
        return None
    tiny = float(np.finfo(p.x.dtype).smallest_subnormal)
    wide = replace(
        p, weights=[w.astype(float) for w in p.weights], x=p.x.astype(float), state=tuple(s.astype(float) for s in p.state)
    )

    def of_reference(noise):
        return _of_rows(p, lambda rows: getattr(Beside(rows, noise), part.__name__)())

    def of_cell(noise):
        cell = rebound(lift(Cell)(p.recipe.features, p.recipe.state), [noisy(w, noise) for w in wide.weights])
        return outcome(cell, wide)

    def moves(draws):
        own, found = spread(of_cell, unit, tiny, draws), spread(of_reference, unit, tiny, draws)
        return {name: np.maximum(move, own[name]) for name, move in found.items()}

    try:
        if own and any(np.any(move) for move in spread(of_cell, unit, tiny, 1).values()):
            return moves
    except Exception:  # of a cell that takes no float64, or no array of ours
        pass
    return (lambda draws: spread(of_reference, unit, tiny, draws, absolute=True)) if spec.kind in STATES else None


def _stored(p, array):
    """The array in the cell's dtype. Rejects the problem if a number is near the largest one, where sums on the way may overflow."""
    if np.max(np.abs(array), initial=0.0) > p.spec.largest(p.x.dtype):
        reject()
    return np.asarray(array).astype(p.x.dtype)


def _of_rows(p, run):
    """run(p), row by row where the reference takes a single one."""
    if p.spec.reference.cell(p.spec).spec.batch is None or p.batch == 1:
        return run(p)
    return joined(p.spec, [run(p.rows(slice(r, r + 1))) for r in range(p.batch)])


class Beside:
    """The reference on one literal problem. A step cell is run step by step; a sequence cell may take a single step."""

    def __init__(self, p, noise=None):
        """p: literal, of the cell; noise: a source of random roundings, see noisy.py."""
        self.p, self.spec, self.other = p, p.spec, p.spec.reference
        cell = self.other.cell(p.spec)
        weights = [a.astype(w.dtype) for a, w in zip(self.other.weights(p.spec, p.weights), cell.weights)]
        weights = [noisy(w, noise) for w in weights] if noise else weights
        self.cell, self.n = (rebound if noise else with_weights)(cell, weights), len(p.spec.inputs)
        dtype = cell.spec.dtype
        wide = self.cell.spec.sequence and not self.spec.sequence
        given = [(a[None] if wide else a).astype(dtype) for a in (p.x, *p.further)]
        zeros = [np.zeros((p.batch, *s.shape), dtype) for s in cell.spec.states]
        self.states = [zero if k is None else p.states[k].astype(dtype) for k, zero in zip(self.other.states, zeros)]
        self.wide, self.many = wide, self.spec.sequence and not self.cell.spec.sequence
        self.inputs = [[a[t] for a in given] for t in range(len(p.x))] if self.many else [given]

    def outputs(self):
        """By the names of the cell's outputs."""
        finals, ys = self._forward()[-1], [y for _, y in self._passed]
        last = (
            np.stack(ys)
            if self.many and ys
            else np.zeros((0, *self.p.given[0][-1].shape[1:]))
            if self.many
            else ys[0][0]
            if self.wide
            else ys[0]
        )
        if self.spec.scalar == "sum" and np.ndim(last):
            last = last.sum()
        named = {f"{self.spec.states[k].name}'": finals[j] for j, k in enumerate(self.other.states) if k is not None}
        missing = [name for name in self.spec.output_names if name not in named]
        return {**named, **dict.fromkeys(missing, last)}

    def gradients(self):
        """By the names of the cell's arrays."""
        states = self._forward()
        up = dict(zip(self.spec.output_names, self.p.given[0]))
        finals = [0.0 if k is None else up.pop(f"{self.spec.states[k].name}'", 0.0) for k in self.other.states]
        d_last = next(iter(up.values()), 0.0)
        weights, inputs = None, []
        for t in reversed(range(len(self.inputs))):
            last = d_last[t] if self.many and np.ndim(d_last) else d_last[None] if self.wide and np.ndim(d_last) else d_last
            found, given, finals = self._back(t, states[t], finals, last)
            weights = found if weights is None or found is None else [a + b for a, b in zip(weights, found)]
            inputs.insert(0, given)
        if weights is None and not self.inputs:
            weights = [np.zeros(w.shape) for w in self.cell.weights]
        return self._named(weights, inputs, finals)

    def _forward(self):
        """The states before each step and after the last; keeps (finals, last output) of each."""
        states, self._passed = [self.states], []
        for given in self.inputs:
            answers = [np.array(y) for y in self.cell.apply(*given, *states[-1])]
            named = dict(zip(self.cell.spec.output_names, answers))
            finals = [named.get(f"{name}'") for name in self.cell.spec.state_names]
            self._passed.append((finals, answers[-1]))
            states.append(finals)
        return states

    def _back(self, t, states, d_finals, d_last):
        """(d_weights, d_inputs, d_states) of one call, for upstreams of its final states and of its last output."""
        answers, spec = self.cell.apply(*self.inputs[t], *states), self.cell.spec
        up = [np.zeros_like(y) for y in answers]
        for name, d in zip(spec.state_names, d_finals):
            if f"{name}'" in spec.output_names:
                up[spec.output_names.index(f"{name}'")] += d
        up[-1] = np.asarray(up[-1] + d_last, up[-1].dtype)
        weights, x, rest = self.cell.vjp(*up)
        rest = [np.zeros_like(a) if g is None else g for g, a in zip(rest or (), (*self.inputs[t][1:], *states))]
        return weights, [x, *rest[: self.n - 1]], rest[self.n - 1 :]

    def _named(self, weights, inputs, states):
        spec, other = self.spec, self.cell.spec
        found = {}
        if weights is not None and (back := self.other.back(spec, weights)):
            found |= {w.name: g for w, g in zip(spec.weights, back)}
        for k, a in enumerate(spec.inputs):
            parts = [given[k] for given in inputs]
            if all(part is not None for part in parts) and "x" in other.gradients:
                shape = (0, self.p.batch, *a.shape)
                found[a.name] = (
                    (np.stack(parts) if parts else np.zeros(shape)) if self.many else parts[0][0] if self.wide else parts[0]
                )
        if "state" in other.gradients:
            found |= {
                spec.states[k].name: np.asarray(d) + np.zeros((self.p.batch, *spec.states[k].shape))
                for d, k in zip(states, self.other.states)
                if k is not None
            }
        silent = {a.name for a, part in zip(spec.arrays, spec.offers) if part not in spec.gradients}
        return {name: np.asarray(g) for name, g in found.items() if name not in silent}
