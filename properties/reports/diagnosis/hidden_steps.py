"""Mistakes through time of cells whose steps cannot be redone: a state is hidden, or there is only a loss.

The gradient of the weights of x is the sum over the steps of x_t times delta_t, the gradient of the pre-activation. Where there are
fewer steps than features, each delta_t can be solved for; where there are fewer steps than units, each state as well.
"""

from dataclasses import replace
from functools import cached_property, lru_cache, partial
from typing import NamedTuple

import numpy as np
from cellcheck.properties.reports.diagnosis.grown import PLAIN, Grown, close, same, several
from cellcheck.properties.reports.diagnosis.mistakes import Mistake, matched

T = 3
RECIPE = replace(PLAIN, batch=1, features=6, state=5, steps=T + 1)  # no more: every derivative is taken for each number of steps
NEAR = 1e-6  # what is solved for has lost digits
SLOPES = {"tanh": lambda h: 1 - h * h, "sigmoid": lambda h: h * (1 - h), "relu": lambda h: 1.0 * (h > 0)}


@lru_cache(maxsize=16)
def hidden_steps(Cell):
    """Sentences about a sequence cell whose gradients are wrong, or []."""
    steps = HiddenSteps(Cell)
    if not steps.lanes or steps.states is None:
        return []
    claims, truth = (steps.seen(arrays) for arrays in (steps.g.claims(), steps.g.truth()))
    what = f"the gradients of {several(dict.fromkeys(name for name, _ in claims))}"
    with np.errstate(all="ignore"):
        tried = [Mistake(said, partial(steps.predicted, *of)) for said, *of in mistakes(steps)]
        if told := matched(tried, claims, truth, what, NEAR):
            return told
        wrong = [key for key in claims if not close(claims[key], truth[key], NEAR)]
        told = [matched(of_one_step(steps, *key), {key: claims[key]}, {key: truth[key]}, "it", NEAR) for key in wrong]
        return [sentence for found in told for sentence in found] if all(told) else []


def mistakes(steps):
    """(sentence, delta, states) of everything that is tried."""
    true, before, after = steps.delta(steps.g.truth()), steps.states[:-1], steps.states[1:]
    yield "the gradient of the recurrent weights multiplies h[t] at step t instead of h[t - 1]", true, after
    if (own := steps.own) is not None:
        yield "the gradient does not flow from step t + 1 to step t", own, before
        for kept, lost, delta in steps.through_one_state():
            yield f"the gradient of {lost} does not flow from step t + 1 to step t, only that of {kept}", delta, before
    if steps.recurrent is None or steps.recurrent.shape[0] != steps.recurrent.shape[1]:
        return
    for word, slope in SLOPES.items():
        right, early = slope(after), slope(before)
        own = true - right * (np.vstack([true[1:], 0 * true[:1]]) @ steps.recurrent.T)
        yield "the gradient does not flow from step t + 1 to step t", own, before
        yield "the recurrent weights are not transposed on the way back in time", steps.back(own, right, turned=True), before
        said = f"the derivative of {word} at step t is taken at h[t - 1] instead of h[t]"
        yield said, steps.back(own * early / right, early), before


def of_one_step(steps, name, part):
    """Mistakes in how the gradient of one array is added up over the steps."""
    for t, why in ((0, "the last that the reverse pass visits"), (T - 1, "the first that the reverse pass visits")):
        only = (np.arange(T) == t)[:, None] * steps.delta(steps.g.truth())
        said = f"the gradient of {name} is that of step {t} alone, {why}: it is assigned instead of added up over the {T} steps"
        yield Mistake(said, lambda only=only: {(name, part): steps.predicted(only, steps.states[:-1])[name, part]})


class View(NamedTuple):
    """Some rows of an array or of its transpose."""

    name: str
    turned: bool
    start: int
    rows: int

    def of(self, arrays):
        """(rows, columns)."""
        a = arrays[self.name]
        return (a.T if self.turned else a)[self.start : self.start + self.rows]


class Lane(NamedTuple):
    """The weights that share a pre-activation: views of those of x and h, names of the biases."""

    x: View
    h: View | None
    biases: tuple


class HiddenSteps:
    """What the true gradients of a sequence cell say about its steps. Attribute lanes: [] where they cannot be told apart."""

    def __init__(self, Cell):
        """Cell: the factory."""
        for seed in range(1, 60):
            p = replace(RECIPE, seed=seed).literal(Cell)
            if len(set(p.x.argmax(axis=-1).ravel())) == p.x.shape[0]:  # tokens that are all different
                break
        ys = [k for k, name in enumerate(p.spec.output_names) if name == "ys"]
        if ys:
            p = replace(p, given=[tuple(u * (k in ys) for k, u in enumerate(us)) for us in p.given])
        self.Cell, self.p, self.ys, self.lanes, self.states = Cell, p, ys, [], None
        if p.x.ndim != 3 or p.x.shape[:2] != (T + 1, 1) or p.x.shape[-1] <= T + 1:
            return
        self.g, longer = self.prefix(T), Grown(Cell, p).truth()
        for x in (p.x[:, 0], np.eye(p.x.shape[-1])[p.x[:, 0].argmax(axis=1)]):
            self.x = x
            self.lanes = [lane for view in self._views(x.shape[-1]) if (lane := self._lane(view, longer))]
            if self.lanes:
                break
        solved = (_solved(delta.T, v.of(longer).T) for _, delta, views in self._recurrent(longer) for v in views)
        self.states = next((states for states in solved if states is not None), None)
        if self.states is not None:
            self.lanes = [
                lane._replace(h=next((v for v in views if same(self.states.T @ delta, v.of(longer), NEAR)), None))
                for lane, delta, views in self._recurrent(longer)
            ]

    def _recurrent(self, truth):
        """(Lane, what its pre-activation gets, views that may be those of its weights of h)."""
        for lane in self.lanes:
            x, delta = lane.x, self._delta(lane, truth, T + 1)
            views = [v for v in self._views(self.p.recipe.state) if v.of(truth).shape[1] == delta.shape[1]]
            apart = [v for v in views if v.name != x.name or v.start >= x.start + x.rows or x.start >= v.start + v.rows]
            yield lane, delta, apart

    def prefix(self, n):
        """The Grown of the first n steps."""
        return Grown(self.Cell, self.p.span(slice(n)))

    def _views(self, rows):
        for name, w in zip(self.g.names, self.g.p.weights):
            for turned, length in enumerate(w.shape if w.ndim == 2 else ()):
                if length >= rows:
                    yield from (View(name, bool(turned), start, rows) for start in sorted({0, length - rows}))

    def _lane(self, view, truth):
        """The Lane of these weights of x, or None if they are none."""
        delta = _solved(self.x.T, view.of(truth))
        if delta is None:
            return None
        biases = [n for n, w in zip(self.g.names, self.g.p.weights) if w.size == delta.shape[1]]
        biases = tuple(n for n in biases if close(truth[n].ravel(), delta.sum(axis=0), NEAR))
        return Lane(view, None, biases)

    def _delta(self, lane, grads, steps):
        return np.linalg.lstsq(self.x[:steps].T, lane.x.of(grads), rcond=None)[0]

    def delta(self, grads, steps=T):
        """(steps, pre-activations): what each step's pre-activation gets, from gradients of so many steps."""
        return np.hstack([self._delta(lane, grads, steps) for lane in self.lanes])

    def seen(self, grads):
        """The gradients of all lanes, by (name, part)."""
        found = {}
        for lane in self.lanes:
            found |= {(v.name, part): v.of(grads) for part, v in (("x", lane.x), ("h", lane.h)) if v}
            found |= {(name, "bias"): np.ravel(grads[name]) for name in lane.biases}
        return found

    def predicted(self, delta, states):
        """The same for these deltas and states before each step."""
        found, columns = {}, 0
        for lane in self.lanes:
            width = lane.x.of(self.g.truth()).shape[1]
            d, columns = delta[:, columns : columns + width], columns + width
            for part, view, a in (("x", lane.x, self.x[:T]), ("h", lane.h, states)):
                found |= {(view.name, part): a.T @ d} if view else {}
            found |= {(name, "bias"): d.sum(axis=0) for name in lane.biases}
        return found

    @cached_property
    def recurrent(self):
        """(units, pre-activations): the weights of h, None where some are missing."""
        weights = dict(zip(self.g.names, self.g.p.weights))
        return np.hstack([lane.h.of(weights) for lane in self.lanes]) if all(lane.h for lane in self.lanes) else None

    @cached_property
    def own(self):
        """(steps, pre-activations): what each step gets from its own output alone, None where there is no upstream for it."""
        if not self.ys or self.g.cell.spec.fewest_steps > 1:
            return None
        parts = [*(self.prefix(t + 1) for t in range(T - 1)), self.g]
        return np.array([self.delta(part.truth(), t + 1)[t] for t, part in enumerate(parts)])

    def through_one_state(self):
        """(state that hands its gradient back, the one that does not, delta of all steps), for an LSTM that puts out h."""
        d_ys = self.g.upstream[self.ys[0]][:, 0]
        gates, rest = divmod(self.own.shape[1], d_ys.shape[1])
        if self.recurrent is None or d_ys.shape[1] != self.recurrent.shape[0] or rest:
            return
        slope, true = self.own / np.tile(d_ys, gates), self.delta(self.g.truth())
        yield "h", "the cell state (dc)", self.back(self.own, slope, gates)
        reached = true / slope  # the gradient of h that would give this delta without a cell state
        share = (reached[:-1] - np.tile(d_ys[:-1] + true[1:] @ self.recurrent.T, gates)) / reached[1:]
        lone = np.tile(d_ys, gates)
        for t in range(T - 2, -1, -1):
            lone[t] += share[t] * lone[t + 1]
        yield "the cell state", "h (dh)", np.nan_to_num(slope * lone)

    def back(self, own, slope, gates=1, turned=False):
        """Delta by a reverse pass with this slope of each pre-activation."""
        delta, W = np.array(own), self.recurrent if turned else self.recurrent.T
        for t in range(T - 2, -1, -1):
            delta[t] += slope[t] * np.tile(delta[t + 1] @ W, gates)
        return delta


def _solved(a, b):
    """s with a s = b, None where there is none or it is not the only one."""
    if a.shape[0] <= a.shape[1] or not np.any(b):
        return None
    s, _, rank, _ = np.linalg.lstsq(a, b, rcond=None)
    return s if rank == a.shape[1] and close(a @ s, b, NEAR) else None
