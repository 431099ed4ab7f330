"""Where an operation stands in the source of a cell, and what it and its arguments are called there."""

import ast
import re
from contextlib import suppress

from cellcheck.properties.reports.diagnosis.tape import expression


def words(edges):
    """(an argument of an operation, the operation with its line) in a sentence."""
    node, k = edges[-1]
    calls, through = {n.key[0][1:] for n, _ in edges}, place(node)
    if node.inner or len(calls) > 1:
        many = "both" if len(calls) == 2 else f"all {len(calls)}"
        where = f"{many} calls of `{node.frames[0].code.co_name}`" if len(calls) > 1 else through
        through = f"`{shown(inside(node))}` (line {node.frames[0].line}) in {where}"
    return f"`{shown(argument(node, k))}`", through


def place(node):
    """The expression in the cell's own source, with its line."""
    return f"`{shown(node.text)}`{line(node)}"


def piece(node):
    """The same, for what a split returns with the number of the part."""
    split = re.fullmatch(r"\w*split(\d*)", node.own)
    return f"part {int(split[1] or 0)} of {place(node)}" if split else place(node)


def inside(node):
    """The expression in the function where it is computed."""
    return expression(node.frames[0].code, node.frames[0].place) if node.frames else node.text


def argument(node, k):
    """The text of an argument of an operation, where that is computed."""
    parent = node.parents.get(k)
    if parent is not None and parent.name and not parent.frames:
        return parent.name
    if not node.frames:
        return "its argument"
    try:
        tree = ast.parse(expression(node.frames[0].code, node.frames[0].place), mode="eval").body
    except SyntaxError:
        tree = None
    parts = []
    if isinstance(tree, ast.BinOp):
        parts = [tree.left, tree.right]
        if isinstance(tree.op, ast.Pow) and len(node.arrays) == 1:  # a constant exponent may be no array
            return ast.unparse(tree.left)
    elif isinstance(tree, ast.UnaryOp):
        parts = [tree.operand]
    elif isinstance(tree, (ast.Subscript, ast.Attribute)):
        parts = [tree.value]
    elif isinstance(tree, ast.Call):
        given = [tree.func.value, *tree.args] if node.own.startswith(".") else tree.args
        parts = [part for arg in given for part in (arg.elts if isinstance(arg, (ast.List, ast.Tuple)) else [arg])]
        parts = [part for part in parts if not _switch(part)]
        if len(parts) + 1 == len(node.arrays) and isinstance(tree.func, ast.Attribute):  # a method of a tensor
            parts = [tree.func.value, *parts]
    if len(parts) == len(node.arrays):
        return ast.unparse(parts[k])
    if len(parts) == 1 and node.own in ("stack", "concatenate", "vstack", "hstack"):  # of a list
        return f"{ast.unparse(parts[0])}[{k}]"
    return parent.text if parent is not None and parent.text else "its argument"


def _switch(part):
    """Whether an argument is no array, but an axis, a shape or a text."""
    with suppress(ValueError):
        return isinstance(ast.literal_eval(part), (int, str))
    return False


def called(text):
    """The name of the function that is called, or None for any other expression."""
    name, bracket, _ = text.partition("(")
    return name if bracket and name.replace(".", "").isidentifier() else None


def shown(text, most=44):
    """An expression, cut if it is long."""
    text = text.replace("self.", "")
    return text if len(text) <= most else text[: most - 3] + "..."


def line(node):
    """Where it stands in the source."""
    return f" (line {node.seen.line})" if node.seen else ""
