"""Mistakes inside the gates: what each gate's pre-activation gets, against what it should get, unit by unit.

Run row by row, a gate's share of the gradient can be read off its bias, or off the weights of x. Its ratio to the true one is
looked up among the tensors of the step: a missing derivative leaves 1 / act', a wrong tensor its quotient with the right one.
"""

from dataclasses import replace

import numpy as np
from cellcheck.properties.intake.conventions import gates_of
from cellcheck.properties.reports.diagnosis.grown import Grown, close, figure, gap, same, several


def within_gates(g):
    """Sentences about the gates of a cell of declared kind, its weights' gradients first, then x and the states."""
    if g.cell.spec.sequence and g.p.x.shape[0] != 1:
        g = Grown(g.Cell, replace(g.p.recipe, steps=1))
    rows = [Row(g, r) for r in range(g.p.x.shape[-2])]
    told = []
    for names, only in _patterns(g):
        for row in rows:
            row.measure(only)
        told = _gates(rows, names)
        if told:
            return told
    for row in rows:
        row.measure(None)
    return _states(g, rows)


def _patterns(g):
    """All upstreams, then that of each state alone: a fault on one path shows plainly on that path."""
    yield "", None
    n = len(g.p.state)
    if n > 1:
        for k in range(n - 1, -1, -1):
            yield f" for an upstream of {g.outputs[k]} alone", k


class Row:
    """One row of the problem, run alone: tensors of the step, and what reaches each gate."""

    def __init__(self, g, r):
        """g: a Grown of a single step; r: the row."""
        self.g, self.r, self.p = g, r, g.p.rows([r])
        self.solo = Grown(g.Cell, self.p)
        self.gates = {k: np.asarray(v, float) for k, v in gates_of(self.p.weights, g.blocks, g.cell.spec.transposed).items()}
        self.x, self.state = self.p.x.reshape(-1), [s.reshape(-1) for s in self.p.state]
        self.tensors, self.slopes = tensors(g.kind, self.gates, self.x, self.state)

    def measure(self, only):
        """Claims and truth for all upstreams or that of one state: `claimed` and `true`, (source, gate) -> units."""
        self.claims = self.solo.claims(self.solo.masked(lambda k, _: float(only in (None, k))))
        self.truth = self.g.truth(self.g.masked(lambda k, u: self._mask(u) * (only in (None, k))))
        for name in self.g.names[self.g.n :]:
            self.truth[name] = self.truth[name][..., [self.r], :]
        names = self.g.names[: self.g.n]
        claimed = gates_of([self.claims[n] for n in names], self.g.blocks, self.g.cell.spec.transposed)
        true = gates_of([self.truth[n] for n in names], self.g.blocks, self.g.cell.spec.transposed)
        self.claimed_blocks, self.true_blocks = claimed, true
        self.claimed = {key: self._share(key, block) for key, block in claimed.items()}
        self.true = {key: self._share(key, block) for key, block in true.items()}

    def _mask(self, u):
        mask = np.zeros(u.shape)
        mask[..., self.r, :] = 1
        return mask

    def given(self, source):
        """What the weights of this source multiply."""
        return {"x": self.x, "h": self.state[-1]}.get(source, np.ones(1))

    def _share(self, key, block):
        v = self.given(key[0])
        i = int(np.argmax(np.abs(v)))
        return np.atleast_2d(block)[i] / v[i]


def tensors(kind, gates, x, state):
    """(tensors by name, act' of each gate): everything that the equations of the kind compute on the way."""

    def part(gate):
        a = x @ gates["x", gate] + gates.get(("bias", gate), 0) + gates.get(("bias_x", gate), 0)
        return a, state[-1] @ gates["h", gate] + gates.get(("bias_h", gate), 0)

    found, h = {}, state[-1]
    if kind == "RNN":
        z = sum(part("candidate"))
        found |= {"h'": np.tanh(z)}
        zs = {"candidate": z}
    elif kind == "LSTM":
        zs = {gate: sum(part(gate)) for gate in ("input", "forget", "output", "candidate")}
        i, f, o = (_sigmoid(zs[gate]) for gate in ("input", "forget", "output"))
        n, c = np.tanh(zs["candidate"]), state[0]
        new = f * c + i * n
        found |= {"i": i, "f": f, "o": o, "g": n, "c": c, "c'": new, "tanh(c')": np.tanh(new), "tanh(c)": np.tanh(c)}
        found |= {"tanh(i)": np.tanh(zs["input"]), "h'": o * np.tanh(new), "tanh'(c')": 1 - np.tanh(new) ** 2}
        found |= {"tanh'(tanh(c'))": 1 - np.tanh(np.tanh(new)) ** 2}
    else:
        zs = {gate: sum(part(gate)) for gate in ("reset", "update")}
        r, u = _sigmoid(zs["reset"]), _sigmoid(zs["update"])
        a, s = part("candidate")
        zs["candidate"] = a + r * s
        n = np.tanh(zs["candidate"])
        found |= {
            "r": r,
            "u": u,
            "n": n,
            "1 - u": 1 - u,
            "1 - r": 1 - r,
            "h W_n": s,
            "x W_n": a,
            "n - h": n - h,
            "h'": u * (n - h) + h,
        }
    found |= {"h": h, **{f"z of {_the(gate)}": z for gate, z in zs.items()}}
    slopes = {}
    for gate, z in zs.items():
        act = np.tanh if gate == "candidate" else _sigmoid
        slope = (lambda z: 1 - np.tanh(z) ** 2) if gate == "candidate" else (lambda z: _sigmoid(z) * (1 - _sigmoid(z)))
        slopes[gate] = {
            "right": slope(z),
            "output": slope(act(z)),
            "raw": z * (1 - z) if gate != "candidate" else 1 - z * z,
            "value": act(z),
        }
    return found, slopes


def _gates(rows, names):
    """Sentences about the gates whose share is wrong."""
    told = {}
    for key in rows[0].true:
        true, claimed = (np.array([getattr(row, side)[key] for row in rows]) for side in ("true", "claimed"))
        if same(true, claimed) or not (np.isfinite(claimed).all() and np.isfinite(true).all()):
            continue
        left = _left(rows, key)
        sentence = left or _explained(rows, key[1], true, claimed)
        if sentence:
            told.setdefault((key[1], sentence), []).append(key[0])
    merged = {}
    for (gate, sentence), sources in told.items():
        merged.setdefault(sentence, []).append((gate, sources))
    return [f"{several(_the(gate) for gate, _ in found)}: {sentence}{names}" for sentence, found in merged.items()]


def _the(gate):
    return "the candidate" if gate == "candidate" else f"the {gate} gate"


def _explained(rows, gate, true, claimed):
    """What the ratio of claim to truth says, or None."""
    if not np.any(claimed):
        return "no gradient reaches it"
    if np.array_equal(claimed, claimed.astype(np.float32)) and gap(claimed, true) < 1e-6:
        return (
            f"its gradient has passed through float32: all {claimed.size} "
            f"numbers are float32, {figure(gap(claimed, true))} from right"
        )
    with np.errstate(all="ignore"):
        ratio = claimed / true
    if not np.isfinite(ratio).all():
        return None
    act = "tanh" if gate == "candidate" else "sigmoid"

    def slope(name):
        return np.array([row.slopes[gate][name] for row in rows])

    def fits(wanted):
        with np.errstate(all="ignore"):
            told_apart = np.isfinite(wanted).all() and np.max(np.abs(wanted - 1)) > 1e-3
            return bool(told_apart and np.all(np.abs(ratio - wanted) <= 1e-7 * np.abs(ratio)))

    right = slope("right")
    told = [
        (1 / right, f"the derivative of its {act} is missing"),
        (right, f"the derivative of its {act} is applied twice"),
        (slope("output") / right, f"the derivative of its {act} is taken at the output instead of the pre-activation"),
        (slope("raw") / right, f"the derivative of its {act} treats the pre-activation as if it were the output"),
        (slope("value") / right, f"its value stands where the derivative of its {act} belongs"),
    ]
    for wanted, sentence in told:
        if fits(wanted):
            return f"{sentence} ({ratio.size} units of {len(rows)} rows agree)"
    if np.ptp(ratio) <= 1e-8 * np.max(np.abs(ratio)):
        k = float(np.mean(ratio))
        return "its gradient has the wrong sign (factor -1)" if abs(k + 1) < 1e-9 else f"its gradient is scaled by {k:.10g}"
    for other in rows[0].true:
        if other[1] != gate and not other[0].startswith("h"):
            theirs = np.array([row.true[other] for row in rows])
            if close(claimed, theirs):
                return f"it gets the gradient of {_the(other[1])}, to {figure(gap(claimed, theirs))}"
    return _wrong_tensor(rows, ratio, fits)


def _wrong_tensor(rows, ratio, fits):
    """One tensor where another belongs, one too many or one too few; the right one must be a factor of this kind's equations."""
    values = {name: np.array([row.tensors[name] for row in rows]) for name in rows[0].tensors}
    agree = f"{ratio.size} units of {len(rows)} rows agree"
    with np.errstate(all="ignore"):
        for name, value in values.items():
            if fits(value):
                return f"its gradient has a factor {name} too many ({agree})"
            if fits(1 / value):
                return f"its gradient lacks the factor {name} ({agree})"
        pairs = [(q, p) for p in values for q in values if p != q and fits(values[q] / values[p])]
        pairs += [(f"-{q}", p) for p in values for q in values if p != q and fits(-values[q] / values[p])]
    plain = [pair for pair in pairs if not any(word.startswith("z of") for word in pair)] or pairs
    return f"its gradient uses {plain[0][0]} where {plain[0][1]} belongs ({agree})" if plain else None


def _left(rows, key):
    """A block of a matrix that multiplies something else than x or h, or None."""
    if key[0] not in ("x", "h"):
        return None
    found = []
    for row in rows:
        block, right = row.claimed_blocks[key], row.true[key]
        with np.errstate(all="ignore"):
            v = block @ right / (right @ right)
            if not close(np.outer(v, right), block):
                return None
        found.append(v)
    found = np.array(found)
    for name in rows[0].tensors:
        value = np.array([row.tensors[name] for row in rows])
        if name != key[0] and close(found, value):
            return (
                f"the gradient of its weights of {key[0]} multiplies {name} instead "
                f"of {key[0]} ({found.size} entries of {len(rows)} rows agree)"
            )
    return None


def _states(g, rows):
    """Sentences about the gradients of x and the states, where those of the weights are right."""
    told = []
    for name in g.names[g.n :]:
        if name not in rows[0].claims:
            continue
        claimed, true = (np.array([np.ravel(getattr(row, side)[name]) for row in rows]) for side in ("claims", "truth"))
        if same(claimed, true):
            continue
        source = "x" if name == "x" else "h" if name == g.names[-1] else None
        paths = {
            gate: np.array([row.true[source, gate] @ row.gates[source, gate].T for row in rows])
            for s, gate in rows[0].true
            if s == source
        }
        told += _paths(name, claimed, true, paths, rows) or _turned(name, claimed, true, paths, rows, source)
    return told


def _paths(name, claimed, true, paths, rows):
    """A path that is missing, or counted twice, or goes without a factor."""
    through = sum(paths.values()) if paths else 0 * true
    direct = true - through
    options = {f"the path through {_the(gate)} is dropped": true - path for gate, path in paths.items()}
    if np.max(np.abs(direct)) > 1e-9 * np.max(np.abs(true)):
        options |= {f"the direct path (dh times what {name} is multiplied with) is dropped": through}
    for said, predicted in options.items():
        if close(claimed, predicted):
            return [f"{said} in the gradient of {name}, which is otherwise right to {figure(gap(claimed, predicted))}"]
    with np.errstate(all="ignore"):
        for base, part in ((0 * true, true), (through, direct)):
            ratio = (claimed - base) / part
            if np.isfinite(ratio).all() and part is not base and ratio.shape == true.shape:

                def fits(wanted, ratio=ratio):
                    told_apart = np.max(np.abs(wanted - 1)) > 1e-3
                    return bool(told_apart and np.all(np.abs(ratio - wanted) <= 1e-7 * np.abs(ratio)))

                found = _wrong_tensor_of(rows, ratio, fits)
                if found:
                    return [f"the gradient of {name} {found}"]
    return []


def _wrong_tensor_of(rows, ratio, fits):
    sizes = {n: v for n, v in rows[0].tensors.items() if np.shape(v) == ratio.shape[1:]}
    if not sizes:
        return None
    found = _wrong_tensor(rows, ratio, fits)
    return found and found.replace("its gradient ", "")


def _turned(name, claimed, true, paths, rows, source):
    """Weights that are not transposed, or pre-activation gradients of the other half."""
    if source == "h" and paths:
        turned = (
            true
            - sum(paths.values())
            + sum(np.array([row.true[source, gate] @ row.gates[source, gate] for row in rows]) for gate in paths)
        )
        if close(claimed, turned):
            return [
                f"the gradient of {name} multiplies the weights of h without transposing them, to {figure(gap(claimed, turned))}"
            ]
    other = "h" if source == "x" else "x"
    if paths and all((other, gate) in rows[0].true for gate in paths):
        swapped = true - sum(paths.values())
        swapped = swapped + sum(np.array([row.true[other, gate] @ row.gates[source, gate].T for row in rows]) for gate in paths)
        if close(claimed, swapped):
            return [
                f"the gradient of {name} comes from the pre-activations of "
                f"the half of {other}, to {figure(gap(claimed, swapped))}"
            ]
    return []


def _sigmoid(z):
    return 1 / (1 + np.exp(-z))
