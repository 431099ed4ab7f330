"""Classic mistakes in gradients: each predicts numbers, and is named only if the cell claims exactly these."""

import numpy as np
from cellcheck.properties.reports.diagnosis.grown import close, figure, gap, same, several
from cellcheck.properties.reports.diagnosis.through_time import through_time
from cellcheck.properties.reports.diagnosis.within_gates import within_gates
from cellcheck.properties.shrinking.shrinking import VISIBLE


def gradient_faults(g):
    """Sentences about the gradients of a Grown, [] if they are right or match no mistake; and whether they are right."""
    claims, truth = g.claims(), g.truth()
    wrong = [name for name, claim in claims.items() if not same(claim, truth[name])]
    if not wrong or not all(np.isfinite(t).all() for t in truth.values()):
        return [], not wrong
    lost = [name for name in wrong if not np.isfinite(claims[name]).all()]
    if lost:
        n = int(np.sum(~np.isfinite(claims[lost[0]])))
        return [
            f"the gradient of {several(lost)} is not finite: {n} of "
            f"{claims[lost[0]].size} entries of {lost[0]}, where all should be"
        ], False
    if cut := exchanged(g, claims, truth):
        return cut, False
    told = whole(g, claims, truth, wrong) or (
        through_time(g, claims, truth) or cut_off(g, claims, truth) if g.cell.spec.sequence else []
    )
    if told:
        return told, False
    singly = {name: one_array(g, name, claims[name], truth) for name in wrong}
    told = [s for said in singly.values() for s in said]
    if not all(singly.values()) and g.kind and g.blocks and not g.gist:
        told = within_gates(g) or told
    right = [name for name in claims if name not in wrong]
    if told and right:
        told[0] += f" ({several(wrong)} {'is' if len(wrong) == 1 else 'are'} wrong, {several(right)} right)"
    return told, False


def whole(g, claims, truth, wrong):
    """Mistakes that explain all gradients at once."""
    if all(not np.any(claims[n]) for n in claims) and np.max(np.abs(truth[wrong[0]])) > VISIBLE:
        return ["every gradient is zero, but " + figure(np.max(np.abs(truth[wrong[0]]))) + f" is the largest of {wrong[0]}"]
    k = _ratio(np.concatenate([np.ravel(claims[n]) for n in claims]), np.concatenate([np.ravel(truth[n]) for n in claims]))
    if k is not None:
        return [f"every gradient is {factor(g, k)}"]
    for sentence, upstream in upstreams(g):
        predicted = g.truth(upstream)
        if all(same(claims[n], predicted[n]) for n in claims):
            worst = max(gap(claims[n], predicted[n]) for n in claims)
            return [f"{sentence}: all gradients are then right to {figure(worst)}"]
    return []


def cut_off(g, claims, truth):
    """Steps that no gradient reaches, before those that one does."""
    reached = np.flatnonzero(np.any(claims["x"], axis=(1, 2))) if "x" in claims else []
    if not len(reached) or not reached[0] or not truth["x"][: reached[0]].any(axis=(1, 2)).all():
        return []
    return [f"x gets no gradient before step {reached[0]} of {len(truth['x'])}: the reverse pass ends before it reaches step 0"]


def exchanged(g, claims, truth):
    """dx and dh cut from [dx, dh] as if it were [dh, dx]."""
    x, h = "x", g.names[-1]
    if not {x, h} <= set(claims) or (same(claims[x], truth[x]) and same(claims[h], truth[h])):
        return []
    if g.p.x.ndim != 2:
        return []
    joint, right = np.concatenate([claims[h], claims[x]], axis=-1), np.concatenate([truth[x], truth[h]], axis=-1)
    if close(joint, right):
        return [f"the gradients of x and {h} are cut from [dx, d{h}] as if it were [d{h}, dx], to {figure(gap(joint, right))}"]
    return []


def upstreams(g):
    """(sentence, upstream that the cell would have been given)."""
    full = g.upstream
    if len(full) > 1:
        for k in range(len(full)):
            said = f"the upstream of {g.outputs[k]} is ignored"
            yield said, g.masked(lambda j, u, k=k: 0.0 if j == k else 1.0)
            yield f"only the upstream of {g.outputs[k]} is used", g.masked(lambda j, u, k=k: 1.0 if j == k else 0.0)
        yield "the upstreams are taken in reverse order", tuple(full[::-1]) if len({u.shape for u in full}) == 1 else full
    yield "the upstream is ignored, 1 is taken for it", tuple(np.ones(u.shape) for u in full)
    for c in (0.1, 0.5, 1.0):
        yield f"the upstream is clipped at {c:g}", tuple(np.clip(u, -c, c) for u in full)
    if full[-1].ndim == 3 and (T := len(full[-1])) > 1:
        for t, which in ((T - 1, "last"), (0, "first")):
            yield f"of ys only the upstream of the {which} step is used", (*full[:-1], _step_mask(T, t) * full[-1])
    if full[0].ndim >= 2:
        for r in range(full[0].shape[-2]):
            yield f"only row {r} of the batch is differentiated", g.masked(lambda j, u, r=r: _row_mask(u, r))
            yield f"row {r} of the batch is left out", g.masked(lambda j, u, r=r: 1 - _row_mask(u, r))


def _step_mask(T, t):
    return (np.arange(T) == t).astype(float)[:, None, None]


def _row_mask(u, r):
    mask = np.zeros(u.shape)
    mask[..., r, :] = 1
    return mask


def one_array(g, name, claim, truth):
    """Mistakes that explain the gradient of one array."""
    true, batch = truth[name], g.p.x.shape[-2]
    if not np.any(claim):
        return [f"the gradient of {name} is zero everywhere, but should reach {figure(np.max(np.abs(true)))}"]
    k = _ratio(claim, true)
    if k is not None:
        return [f"the gradient of {name} is {factor(g, k)}"]
    if true.ndim == 2 and true.shape[0] == true.shape[1] and close(claim, true.T):
        return [f"the gradient of {name} is transposed, to {figure(gap(claim, true.T))}"]
    others = [n for n, t in truth.items() if n != name and t.shape == true.shape and close(claim, t)]
    if others:
        return [f"the gradient of {name} is that of {others[0]}, to {figure(gap(claim, truth[others[0]]))}"]
    top = np.max(np.abs(claim))
    if np.sum(np.abs(claim) == top) > 1 and close(claim, np.clip(true, -top, top)):
        n = int(np.sum(np.abs(claim) == top))
        return [
            f"the gradient of {name} is clipped at {figure(top)}: {n} entries "
            f"are exactly that, {figure(np.max(np.abs(true)))} is right"
        ]
    if not g.gist and (told := of_rows(g, name, claim, true, batch)):
        return told
    if np.array_equal(claim, claim.astype(np.float32)) and gap(claim, true) < 1e-6:
        return precision(name, claim, true)
    differ = ~np.isclose(claim, true, CLOSE_ENTRY, CLOSE_ENTRY * np.max(np.abs(true)))
    if 0 < differ.sum() <= 2 and differ.size > 4:
        where = [list(map(int, i)) for i in np.argwhere(differ)]
        at = tuple(where[0])
        return [f"only {name}{where[0]} is wrong: {figure(claim[at])}, {claim[at] / (true[at] or 1):.10g} times what is right"]
    return by_blocks(g, name, claim, truth) or in_other_order(g, name, claim, true)


CLOSE_ENTRY = 1e-9


def of_rows(g, name, claim, true, batch):
    """The gradient of some rows only, or of one counted twice."""
    rows = [g.row(r)[name] for r in range(batch)]
    for r, part in enumerate(rows):
        if name in g.names[: g.n]:
            if close(claim, part):
                return [f"the gradient of {name} is that of row {r} alone, not summed over the batch of {batch}"]
            if close(claim, true - part):
                return [f"the gradient of {name} leaves out row {r} of the batch"]
            if close(claim, true + part):
                return [f"the gradient of {name} counts row {r} of the batch twice"]
    return []


def precision(name, claim, true):
    """Every number is a float32."""
    return [
        f"the gradient of {name} has passed through float32: all its "
        f"{claim.size} numbers are float32, {figure(gap(claim, true))} from right"
    ]


def by_blocks(g, name, claim, truth):
    """The blocks of one weight, exchanged or scaled."""
    if name not in g.names[: g.n] or not g.blocks:
        return []
    blocks, true = g.blocks[g.names.index(name)], truth[name]
    told, off = [], [key for key, where in blocks.items() if not same(claim[where], true[where])]
    for key in off:
        for other, where in blocks.items():
            if other != key and true[where].shape == true[blocks[key]].shape and close(claim[blocks[key]], true[where]):
                told.append(f"block {' '.join(key)} of the gradient of {name} is that of {' '.join(other)}")
    if len(told) == len(off) and told:
        return told
    return []


def in_other_order(g, name, claim, true):
    """The parts of a weight that are as long as the state, all right but for their order."""
    for axis, length in enumerate(true.shape):
        gates, rest = divmod(length, g.p.recipe.state)
        if rest or gates < 2:
            continue
        claimed, right = (np.split(a, gates, axis) for a in (claim, true))
        order = [next((k for k, part in enumerate(right) if same(own, part)), None) for own in claimed]
        if None not in order and sorted(order) == list(range(gates)) != order:
            return [
                f"the gradient of {name} has the gradients of its gates 0 to {gates - 1} in the order {several(map(str, order))}"
            ]
    return []


def factor(g, k):
    """What a constant factor means at these sizes."""
    batch, steps = g.p.x.shape[-2], len(g.p.x) if g.p.x.ndim == 3 else None
    meanings = {
        -1.0: "negated: its sign is wrong",
        2.0: "counted twice",
        1 / batch: f"the mean over the batch of {batch} instead of the sum",
    }
    if steps:
        meanings |= {1 / steps: f"the mean over the {steps} steps instead of the sum"}
        meanings |= {1 / steps / batch: "the mean over batch and steps instead of the sum"}
    for value, words in meanings.items():
        if abs(k - value) <= 1e-9 * abs(value):
            return f"{words} (factor {figure(k)})"
    return f"scaled by {k:.10g}"


def _ratio(claim, true):
    """The constant k != 1 with claim = k true, or None."""
    claim, true = np.ravel(claim), np.ravel(true)
    k = float(claim @ true / (true @ true)) if true @ true else 0.0
    if k and np.max(np.abs(claim - k * true)) <= 1e-10 * np.max(np.abs(claim)) and abs(k - 1) > 1e-9:
        return k
    return None
