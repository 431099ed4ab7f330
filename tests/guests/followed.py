"""Cells whose operations the diagnosis follows into helpers, loops and other orders of axes. Each takes the name of a mistake in its backward pass."""

import numpy as np
from cellcheck.cells.adapters import adapt


def _sigmoid(z):
    return 0.5 * (np.tanh(0.5 * z) + 1)


def normed(mistake=None):
    """h' = tanh(ln(x W) + ln(h U)), by one function that normalises."""

    def ln(a, g):
        m = a - a.mean(-1, keepdims=True)
        inv = 1 / np.sqrt((m * m).mean(-1, keepdims=True) + 1e-3)
        return m * inv * g, (m * inv, inv, g)

    def back(d, kept):
        n, inv, g = kept
        dn = d * g
        inner = (dn * n).sum(-1, keepdims=True) if mistake == "sum" else (dn * n).mean(-1, keepdims=True)
        return inv * (dn - (0 if mistake == "mean" else dn.mean(-1, keepdims=True)) - n * inner), (d * n).sum(0)

    def forward(x, h, W, U, g, k):
        a, kept = ln(x @ W, g)
        b, other = ln(h @ U, k)
        y = np.tanh(a + b)
        return y, (y, kept, other)

    def backward(d, x, h, W, U, kept):
        y, one, other = kept
        dz = d * (1 - y * y)
        (da, dg), (db, dk) = back(dz, one), back(dz, other)
        return da @ W.T, db @ U.T, x.T @ da, h.T @ db, dg, dk

    def make(F, S):
        return {"W": np.zeros((F, S)), "U": np.zeros((S, S)), "g": np.zeros(S), "k": np.zeros(S)}

    return adapt(make, ("x h W U g k -> h kept", forward), ("dh x h W U kept -> dx dh dW dU dg dk", backward))


def selective(mistake=None):
    """A selective scan, channels first: h = exp(dt A) h + dt u B, y = C h + D u, with dt = softplus(raw) and A = -exp(log)."""

    def forward(u, raw, B, C, h, log, D):
        A, dt, hs, ys = -np.exp(log), np.logaddexp(0, raw), [h], [np.zeros(u.shape[:2])]
        for t in range(u.shape[2]):
            h = np.exp(dt[:, :, t, None] * A) * h + (dt[:, :, t] * u[:, :, t])[:, :, None] * B[:, None, :, t]
            hs.append(h)
            ys.append((h * C[:, None, :, t]).sum(-1))
        return h, np.stack(ys, 2)[:, :, 1:] + u * D[:, None], (hs, dt, A)

    def backward(dh, dy, u, raw, B, C, log, D, kept):
        hs, dt, A = kept
        du, ddt, dB, dC, dA = dy * D[:, None], np.zeros_like(dt), np.zeros_like(B), np.zeros_like(C), np.zeros_like(A)
        for t in range(u.shape[2] - (mistake == "skipped"))[::-1]:
            dC[:, :, t] = (dy[:, :, t, None] * hs[t + 1]).sum(1)
            dh = dh + dy[:, :, t, None] * C[:, None, :, t]
            e = np.exp(dt[:, :, t, None] * A)
            inner = (dh * B[:, None, :, t]).sum(-1)
            ddt[:, :, t] = (dh * hs[t] * e * A).sum(-1) + (0 if mistake == "dt u" else inner * u[:, :, t])
            dA = (dh * hs[t] * e * dt[:, :, t, None]).sum(0) + (0 if mistake == "assigned" else dA)
            du[:, :, t] += inner * dt[:, :, t]
            dB[:, :, t] = (dh * (dt[:, :, t] * u[:, :, t])[:, :, None]).sum(1)
            dh = dh * e
        draw = ddt / (1 + np.exp(-(dt if mistake == "output" else raw)))
        return du, draw, dB, dC, dh, dA if mistake == "chain" else dA * A, (dy * u).sum((0, 2))

    return adapt(
        lambda F, S: {"log": np.zeros((F, S)), "D": np.zeros(F)},
        ("u raw B C h log D -> h y kept", forward),
        ("dh dy u raw B C log D kept -> du draw dB dC dh dlog dD", backward),
        axes="batch features steps",
        inputs={"u": "batch features steps", "raw": "batch features steps", "B": "batch N steps", "C": "batch N steps"},
        states={"h": "batch features N"},
        output={"y": "batch features steps"},
        sizes={"N": lambda F, S: S},
        domains={"log": (-3, 2)},
    )


def reset_after(mistake=None):
    """A step with a gate r on U h + c, and a second one of both: h' = tanh(x W + r (h U + b)) z + h."""

    def forward(x, h, W, U, b, p):
        s = h @ U + b
        r = _sigmoid(p * h)
        z = np.exp(-np.exp(-np.exp(r)))
        n = np.tanh(x @ W + r * s)
        return n * z + h, (s, r, z, n)

    def backward(d, x, h, W, U, b, p, kept):
        s, r, z, n = kept
        dn = d * (np.tile(z[:1], (len(z), 1)) if mistake == "row" else z) * (1 - n * n)
        dr = dn * (s - b if mistake == "term" else s)
        outer = np.exp(-np.exp(r))
        dr += d * n * z * outer * (1 if mistake == "inner" else np.exp(r))
        dp = dr * r * (1 - r)
        ds = dn * r
        db = ds[0] * len(ds) if mistake == "first" else ds.sum(0)
        return dn @ W.T, d + ds @ U.T + dp * p, x.T @ dn, h.T @ ds, db, (dp * h).sum(0)

    def make(F, S):
        return {"W": np.zeros((F, S)), "U": np.zeros((S, S)), "b": np.zeros(S), "p": np.zeros(S)}

    return adapt(make, ("x h W U b p -> h kept", forward), ("dh x h W U b p kept -> dx dh dW dU db dp", backward))


def both(mistake=None):
    """One function run over x and over x backwards, side by side, without a state."""

    def run(x, W, U):
        h, hs = np.zeros((x.shape[1], len(U))), []
        for xt in x:
            h = np.tanh(xt @ W + h @ U)
            hs.append(h)
        return np.array(hs).reshape(len(x), x.shape[1], len(U))

    def back(x, hs, d, W, U):
        dW, dU, dx, g = np.zeros_like(W), np.zeros_like(U), np.zeros_like(x), 0
        for t in range(len(x))[::-1]:
            p = (d[t] + g) * (1 - hs[t] ** 2)
            dW += x[t].T @ p
            if t > (mistake == "step"):
                dU += hs[t - 1].T @ p
            dx[t], g = p @ W.T, p @ U.T
        return dx, dW, dU

    def forward(x, W, U, V, R):
        f, b = run(x, W, U), run(x[::-1], V, R)
        return np.concatenate([f, b[::-1]], 2), (f, b)

    def backward(d, x, W, U, V, R, kept):
        (f, b), n = kept, len(U)
        (dx, *first), (dr, *second) = back(x, f, d[..., :n], W, U), back(x[::-1], b, d[::-1, :, n:], V, R)
        return (dx + (dr if mistake == "flip" else dr[::-1]), *first, *second)

    def make(F, S):
        return {name: np.zeros((n, S)) for name, n in (("W", F), ("U", S), ("V", F), ("R", S))}

    return adapt(
        make,
        ("x W U V R -> ys kept", forward),
        ("dys x W U V R kept -> dx dW dU dV dR", backward),
        axes="steps batch features",
        output={"ys": "steps batch both"},
        sizes={"both": lambda F, S: 2 * S},
        choices={"future": True},
    )


def buffered(mistake=None):
    """A convolution over the last inputs, which are a state that is rolled, and the newest of them overwritten."""

    def forward(x, q, w):
        q = np.roll(q, -1, axis=-1)
        q[:, :, -1] = x
        return q, (q * w).sum(-1), q.copy()

    def backward(dq, dy, w, q):
        d = dq + dy[:, :, None] * w
        back = np.zeros_like(d) if mistake != "kept" else np.roll(d, 1, axis=-1)
        back[:, :, 1:] = d[:, :, :-1]
        if mistake == "order":
            back = d * (np.arange(3) < 2)
        return d[:, :, -1], back, (dy[:, :, None] * q).sum(0)

    return adapt(
        lambda F, S: {"w": np.zeros((F, 3))},
        ("x q w -> q y kept", forward),
        ("dq dy w kept -> dx dq dw", backward),
        states={"q": "batch features three"},
        output={"y": "batch features"},
        sizes={"three": 3},
    )


def leaky(mistake=None):
    """h = (1 - a) h + a tanh(x W + h U), a = sigmoid(k), with one output for each step."""

    def forward(x, h, W, U, k):
        a, hs, ns = _sigmoid(k), [h], []
        for xt in x:
            ns.append(np.tanh(xt @ W + hs[-1] @ U))
            hs.append((1 - a) * hs[-1] + a * ns[-1])
        return hs[-1], np.array(hs)[1:], (a, hs, ns)

    def backward(dh, dys, x, W, U, kept):
        (a, hs, ns), T = kept, len(x)
        dW, dU, dx, da = np.zeros_like(W), np.zeros_like(U), np.zeros_like(x), 0 * a
        turned = {"turned": dys[::-1], "late": np.roll(dys, 1, 0), "early": np.concatenate([dys[1:], 0 * dys[:1]])}
        for t in range(T)[::-1]:
            if mistake == "skipped" and t == T - 1:
                dh = 0 * dh
                continue
            dh = dh + turned.get(mistake, dys)[t]
            da = da + (dh * (ns[-1 if mistake == "last" else t] - hs[t])).sum(0)
            dz = dh * a * (1 - ns[t - 1 if mistake == "wrapped" else t] ** 2)
            dW, dU = (0 if mistake == "assigned" else 1) * dW, (0 if mistake == "assigned" else 1) * dU
            dW, dU, dx[t] = dW + x[t].T @ dz, dU + hs[t].T @ dz, dz @ W.T
            dh = (0.5 if mistake == "half" else 1) * dh * (1 - a) + dz @ U.T
        return dx, dh, dW, dU, da * a * (1 - a)

    def make(F, S):
        return {"W": np.zeros((F, S)), "U": np.zeros((S, S)), "k": np.zeros(S)}

    return adapt(
        make,
        ("x h W U k -> h ys kept", forward),
        ("dh dys x W U kept -> dx dh dW dU dk", backward),
        axes="steps batch features",
    )


def filled(mistake=None):
    """Both ways in time side by side, and a layer above; every array is filled step by step along its last axis, and then used as a whole."""

    def run(x, U, order):
        ys, h = np.zeros((len(U), *x.shape[1:])), 0 * x[:1, :, 0]
        for t in order:
            ys[:, :, t] = h = np.tanh(x[:, :, t].sum(0) + U @ (h + np.zeros((len(U), 1))))
        return ys

    def forward(x, U, V, R):
        ways = run(x, U, range(x.shape[2])), run(x, V, range(x.shape[2])[::-1])
        ys, out = np.concatenate(ways), np.zeros((len(R), *x.shape[1:]))
        for t in range(x.shape[2]):
            out[:, :, t] = R @ ys[:, :, t]
        return np.logaddexp(0, out), (ways, ys, out)

    def back(d, ys, U, order):
        dU, dx, dh = 0 * U, np.zeros_like(ys[0]), 0
        for k, t in [*enumerate(order)][::-1]:
            dz = (d[:, :, t] + dh) * (1 - ys[:, :, t] ** 2)
            dU += dz @ ys[:, :, order[k - 1]].T if k else 0
            dx[:, t], dh = dz.sum(0), 0 if mistake == "step" else U.T @ dz
        return dU, dx

    def backward(d, x, U, V, R, kept):
        ways, ys, out = kept
        do, T = d if mistake == "slope" else d / (1 + np.exp(-out)), range(x.shape[2])
        dys = np.einsum("ij,ibt->jbt", R, do) * (mistake != "way")
        dU, dx = back(dys[: len(U)], ways[0], U, T)
        dV, dx_back = back(dys[len(U) :], ways[1], V, T[::-1])
        return dx + dx_back + 0 * x, dU, dV, np.einsum("ibt,jbt->ij", do, ys)

    return adapt(
        lambda F, S: {"U": np.zeros((S, S)), "V": np.zeros((S, S)), "R": np.zeros((3, 2 * S))},
        ("x U V R -> ys kept", forward),
        ("dys x U V R kept -> dx dU dV dR", backward),
        axes="features batch steps",
        output={"ys": "three batch steps"},
        sizes={"three": 3},
        choices={"future": True},
    )


def peeping(mistake=None):
    """c' = c / 2 + x W, y = sigmoid(x V + p c') c'^2, whose backward pass may be that of another forward pass."""

    def forward(x, c, W, V, p):
        c0, c = c, c / 2 + x @ W
        o = _sigmoid(x @ V + p * c0) if mistake == "old" else _sigmoid(x @ V + p * c)
        return c, o * (c * c), (c, o)

    def backward(dc, dy, x, W, V, p, kept):
        c, o = kept
        do = dy * c * c * o * (1 - o)
        d = dc + dy * o * 2 * {"square": 1, "gate": o}.get(mistake, c) + do * p
        return d @ W.T + do @ V.T, d / 2, x.T @ d, x.T @ do, (do * c).sum(0)

    def make(F, S):
        return {"W": np.zeros((F, S)), "V": np.zeros((F, S)), "p": np.zeros(S)}

    return adapt(
        make, ("x c W V p -> c y kept", forward), ("dc dy x W V p kept -> dx dc dW dV dp", backward), output={"y": "batch state"}
    )


def reset_before(mistake=None):
    """n = tanh(ln(x W + (r h) U)), y = h / 2 + n, with r = sigmoid(h R): h is read once more in the backward pass."""

    def forward(x, h, W, U, R):
        r = _sigmoid(h @ R)
        a = x @ W + (r * h) @ U
        e = a - a.mean(-1, keepdims=True)
        s = 1 / np.sqrt((e**2).mean(-1, keepdims=True) + 1e-3)
        n = np.tanh(e * s)
        y = h / 2 + n
        return y, (r, e * s, s, n, y if mistake == "new" else h)

    def backward(d, x, W, U, R, kept):
        r, k, s, n, h = kept
        dk = d * (1 - n * n)
        inner = (dk * k).sum(-1, keepdims=True) if mistake == "sum" else (dk * k).mean(-1, keepdims=True)
        da = s * (dk - dk.mean(-1, keepdims=True) - k * inner)
        dr = (da @ U.T) * h * r * (1 - r)
        return da @ W.T, d / 2 + (da @ U.T) * r + dr @ R.T, x.T @ da, (r * h).T @ da, h.T @ dr

    def make(F, S):
        return {"W": np.zeros((F, S)), "U": np.zeros((S, S)), "R": np.zeros((S, S))}

    return adapt(make, ("x h W U R -> h kept", forward), ("dh x W U R kept -> dx dh dW dU dR", backward))


def of_both_ways(mistake=None):
    """The sum of two runs, one from each end, of the weights fw.W, fw.U and bw.W, bw.U."""

    def run(p, x, h):
        hs = [h]
        for row in x:
            hs.append(np.tanh(row @ p["W"] + hs[-1] @ p["U"]))
        return hs

    def back(p, x, hs, d, dys):
        dx, g = np.zeros_like(x), {name: np.zeros_like(w) for name, w in p.items()}
        for t in range(len(x))[::-1]:
            dz = (d + dys[t]) * (1 - hs[t + 1] ** 2)
            g["W"], g["U"], dx[t], d = g["W"] + x[t].T @ dz, g["U"] + hs[t].T @ dz, dz @ p["W"].T, dz @ p["U"].T
        return dx, d, g

    def forward(x, one, two, p):
        a, b = run(p["fw"], x, one), run(p["bw"], x[::-1], two)
        ys = np.stack(a[1:]) + np.stack(b[1:][::-1]) if len(x) else np.zeros((0, *one.shape))
        return a[-1], b[-1], ys, (a, b)

    def backward(d_one, d_two, dys, x, p, kept):
        dx, d_one, fw = back(p["fw"], x, kept[0], d_one, dys)
        turned = dys if mistake == "order" else dys[::-1]
        dx_two, d_two, bw = back(p["fw" if mistake == "part" else "bw"], x[::-1], kept[1], d_two, turned)
        return dx + dx_two[::-1], d_one, d_two, {"fw": fw, "bw": fw if mistake == "copied" else bw}

    def make(F, S):
        return {part: {"W": np.zeros((F, S)), "U": np.zeros((S, S))} for part in ("fw", "bw")}

    return adapt(
        make,
        ("x one two weights -> one two ys kept", forward),
        ("done dtwo dys x weights kept -> dx done dtwo dweights", backward),
        states="one two",
        output="ys",
        axes="steps batch features",
        choices={"future": True},
    )


MISTAKES = {  # what is said of each
    normed: {
        "mean": "no gradient flows back to `a` through `a.mean(-1, keepdims=True)` in both calls of `ln`",
        "sum": "in both calls of `ln` is scaled by 5, as if a sum of 5 numbers stood in the place of their mean",
    },
    selective: {
        "dt u": "no gradient flows back to `dt` through `dt[:, :, t]`",
        "assigned": "the gradient of `A` is that of the first of 4 steps alone: it is assigned, not added up",
        "output": "the derivative of `np.logaddexp(0, raw)` is taken at its output",
        "skipped": "the last step is left out of the reverse pass, and what flows back to its states goes on unchanged",
        "chain": "the derivative of `-np.exp(log)` by `log` is missing",
    },
    reset_after: {
        "row": "the gradient of `n` in `n * z` uses row 0 of `z`, for all rows, where `z` belongs",
        "term": "the gradient of `r` in `r * s` uses `h @ U` where `s` belongs",
        "inner": "the derivative of `np.exp(r)` lacks that of its outer function",
        "first": "the gradient of b is that of row 0 times the batch of 3, not summed over it",
    },
    both: {
        "step": "no gradient flows back to `R` through `h @ U` in both calls of `run` in run 2 of 4",
        "flip": "the gradient of x of the second half of ys is not turned around in time",
    },
    buffered: {
        "kept": "where `q[:, :, -1]` overwrites `np.roll(q, -1, axis=-1)`, the gradient of what was there before is not 0",
        "order": "the gradient that flows back to `q` through `np.roll(q, -1, axis=-1)` is not put back in order",
    },
    filled: {
        "step": "the gradient does not flow from step t + 1 to step t",
        "slope": "the derivative of `np.logaddexp(0, out)` is missing",
        "way": "no gradient flows back to `ys` through `ys[:, :, t]`",
    },
    of_both_ways: {
        "order": "the gradient of what `np.stack(b[1:][::-1])` puts together is handed back in reverse order",
        "part": "what flows back through bw uses the weights of fw",
        "copied": "the gradients of bw.W and bw.U are those of fw.W and fw.U",
    },
    reset_before: {
        "new": "all gradients use `h / 2 + n` where `h` belongs",
        "sum": "is scaled by 5, as if a sum of 5 numbers stood in the place of their mean",
    },
    peeping: {
        "old": "the gradient through `p * c0` is that of `c`, and the forward pass uses `c0` there",
        "square": "the gradient of `c` in `c * c` lacks the factor `c`",
        "gate": "the gradient of `c` in `c * c` uses `o` where `c` belongs",
    },
    leaky: {
        "turned": "the upstream of ys is turned around in time",
        "late": "the upstream of ys is taken one step too late",
        "early": "the upstream of ys is taken one step too early",
        "last": "the gradient of `a` in `a * ns[-1]` uses `ns[-1]` of the last step where",
        "wrapped": "of the step before, in the first step that of the last, as y",
        "half": "is scaled by 0.5",
        "skipped": "the last step is left out of the reverse pass: this predicts",
        "assigned": "the gradients of W and U are those of the first of 4 steps alone: they are assigned, not added up",
    },
}
