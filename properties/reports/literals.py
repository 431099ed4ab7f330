"""Arrays as statements: as few characters as give the same numbers, laid out in memory as they were."""

import numpy as np

FEW, DENSE = 64, 2000  # entries up to which an array is written row by row, nonzeros beyond which it is anyway


def assignment(name, value, words):
    """The statements that make an array, laid out as it was."""
    n = np.count_nonzero(value)
    if value.size <= FEW or n > DENSE:
        lines = [f"{name} = {literal(value)}"]
    else:
        lines = [f"{name} = np.zeros({value.shape}, {_dtype(value)})"]
        lines += [f"{name}[{', '.join(map(str, i))}] = {_number(value[tuple(i)])}" for i in np.argwhere(value)]
    if "reversed" in words:
        lines.append(f"{name} = np.flip(np.flip({name}).copy())")
    if "strided" in words:
        lines.append(f"{name} = np.repeat({name}, 2, axis=-1)[..., ::2]")
    if "column order" in words:
        lines.append(f"{name} = np.asfortranarray({name})")
    if "read-only" in words:
        lines.append(f"{name}.flags.writeable = False")
    return lines


def literal(value):
    """An array as an expression."""
    if not value.size:
        return f"np.zeros({value.shape}, {_dtype(value)})"
    return f"np.array({_nested(value)}, {_dtype(value)})"


def _dtype(value):
    return {"float64": "float", "int64": "int", "bool": "bool"}.get(value.dtype.name, f"np.{value.dtype.name}")


def _nested(value):
    return _number(value[()]) if value.ndim == 0 else "[" + ", ".join(map(_nested, value)) + "]"


def _number(value):
    """As few characters as give the same number back."""
    value = value.item()
    if isinstance(value, float) and not np.isfinite(value):
        return f"np.{value}".replace("np.-", "-np.")
    return str(int(value)) if isinstance(value, float) and value == int(value) and abs(value) < 1e6 else repr(value)
