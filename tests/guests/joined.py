"""Cells that put arrays together, and cells whose operations cannot be followed. Each takes the name of a mistake in its backward pass."""

import numpy as np
from cellcheck.cells.adapters import adapt


def _sigmoid(z):
    return 0.5 * (np.tanh(0.5 * z) + 1)


def joined(mistake=None):
    """h' = h (1 - f g) + f n with [f, n] from [h, x] W, and g = exp(-k), step after step."""

    def forward(xs, h, W, p, q, k):
        S, g, kept, ys = h.shape[1], np.exp(-k), [], []
        h = h.astype(np.result_type(xs, h, W, p, q, k))
        for x in xs:
            v = np.concatenate([h, x], axis=1)
            z = v @ W
            f, n = _sigmoid(z[:, :S] + p), np.tanh(z[:, S:] + q)
            new = h * (1 - f * g) + f * n
            kept.append((x, h, v, f, n, new))
            if mistake == "alias":
                h[...] = new
            else:
                h = new
            ys.append(h.copy())
        return h, np.array(ys).reshape(len(xs), *h.shape), (kept, g)

    def backward(dh, dys, xs, W, k, kept):
        steps, g = kept
        S, F, dW, dg, dp, dq, dxs = dh.shape[1], xs.shape[2], np.zeros_like(W), 0 * k, 0 * k, 0 * k, np.zeros_like(xs)
        for t in range(len(steps))[::-1]:
            x, h, v, f, n, new = steps[t]
            dh = dh + dys[t]
            last = {"stale": new if t else h, "wrapped": h if t else steps[-1][5]}.get(mistake, h)
            one, two = (f, n) if mistake == "factors" else (n, f)
            df, dn, dg = dh * (one - last * g), dh * two, dg - (dh * last * f).sum(0)
            af, an = df * f * (1 - f), dn * (1 - n * n)
            dz = np.concatenate([an, af] if mistake == "gates" else [af, an], axis=1)
            dp, dq = dp + {"bias": an, "raw": dn}.get(mistake, af).sum(0), dq + an.sum(0)
            dW += (np.concatenate([x, h], axis=1) if mistake == "order" else v).T @ dz
            dv, at = dz @ W.T, S - (mistake == "shifted")
            dxs[t] = dv[:, :F] if mistake == "cut" else dv[:, at : at + F]
            dh = dh * (1 - f * (1 if mistake == "factor" else g)) + (dv[:, F:] if mistake == "cut" else dv[:, :S])
        return dxs[::-1] if mistake == "turned" else dxs, dh, dW, dp, dq, -dg * (1 if mistake == "sign" else g)

    def make(F, S):
        return {"W": np.zeros((F + S, 2 * S)), "p": np.zeros(S), "q": np.zeros(S), "k": np.zeros(S)}

    passes = ("x h W p q k -> h ys kept", forward), ("dh dys x W k kept -> dx dh dW dp dq dk", backward)
    return adapt(make, *passes, axes="steps batch features")


def hidden(mistake=None):
    """h' = sigmoid(a) tanh(c) with [a, c] = x W + h U + b, computed of numbers that have been taken out of their arrays."""

    def forward(x, h, W, U, b):
        x, h, W, U, b = (np.frombuffer(a.tobytes(), a.dtype).reshape(a.shape) for a in (x, h, W, U, b))
        a, c = np.split(x @ W + h @ U + b, 2, axis=1)
        s, n = _sigmoid(a), np.tanh(a if mistake == "unread" else c)
        return s * n, (s, n)

    def backward(d, x, h, W, U, kept):
        s, n = kept
        dz = np.concatenate([d * n * s * (1 - s), d * s * (1 - n * n)], axis=1)
        one, two = np.split(U, 2, axis=1)
        da, dc = np.split(dz, 2, axis=1)
        dh = {"turned": da @ one + dc @ two, "gate": da @ one + dc @ two.T}.get(mistake, dz @ U.T)
        dU = (s * n if mistake == "other" else h).T @ dz
        if mistake == "block":
            dU[:, dh.shape[1] :] = dU[:, dh.shape[1] :].T.copy()
        return dz @ W.T, dh, x.T @ dz, dU, dz.sum(0)

    def make(F, S):
        return {"W": np.zeros((F, 2 * S)), "U": np.zeros((S, 2 * S)), "b": np.zeros(2 * S)}

    return adapt(make, ("x h W U b -> h kept", forward), ("dh x h W U kept -> dx dh dW dU db", backward))


MISTAKES = {  # what is said of each
    joined: {
        "order": "the gradient of W is right but for the order along axis 0, 5 to 8, then 0 to 4, as where [h, x] is written for [x, h]",
        "cut": "the gradients of `h` and `x` are cut from that of `np.concatenate([h, x], axis=1)` in reverse order",
        "shifted": "is cut from that of `np.concatenate([h, x], axis=1)` at 4 to 7, where 5 to 8 belong",
        "factor": "lacks `g` in `1 - f * g`",
        "sign": "the derivative of `np.exp(-k)` is missing, but for its sign",
        "stale": ", in every step but the first, where `h` belongs",
        "wrapped": " of the last step, in the first one, where `h` belongs",
        "bias": "the gradient of p is that of q",
        "raw": "the gradient of p is that of `np.tanh(z[:, S:] + q)`",
        "turned": "the gradient of x runs backwards in time",
        "alias": " of the last step, as if all were one array, where `h` belongs",
        "factors": "the gradients of `f` and `n` in `f * n` are exchanged",
        "gates": "the gradients of `z[:, :S]` and `z[:, S:]` are exchanged in that of `z`",
    },
    hidden: {
        "turned": "the gradient of h multiplies U without transposing it: with the gradient of b for that of the sum",
        "gate": "the gradient of h multiplies gate 0 of U without transposing it",
        "other": "the gradient of U is made of h' where h belongs",
        "unread": "no output depends on gate 1 of the gates 0 to 1 of W, U and b, of which there are gradients all the same: up to ",
        "block": "the gradient of U is transposed in gate 1 of its gates 0 to 1",
    },
}
