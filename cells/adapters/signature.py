"""The notation that tells an adapter how a function is called: "x h c Wx Wh b -> h c cache".

Left of the arrow, what it takes, in its own order; right of it, what it returns. A name is x, a state, a weight, `ys` (outputs of
all steps), `sum` or `loss` (a scalar output), `targets`, `rate`, `lengths` (the steps of each row) or `mask` (True at the steps that
count, its axes as those of x), or with a leading d the gradient of one of these. `weights`
is the container of all weights, `dweights` that of their gradients; a weight in a nested dict, or in a list of dicts, is called as its path, cell.W or 0.W.
`_` is ignored; others are kept from forward to backward, where h is the old state and h' the new one.

    left     name            a positional argument
             key=name        a keyword argument
             .attr=name      set this attribute before the call
             .attr=0         fill the arrays of this attribute with zeros before the call; with a *, as in .d*=0, of one for each weight
             **weights       each weight as a keyword argument
    right    name            the next of the returned values (the only one, if there is one name)
             name=key        an entry of the returned dict
             name=.attr      an attribute after the call; with a *, as in dweights=.d*, one for each weight
"""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Signature:
    """takes, gives: (name, place) of each word, place "" for a positional one."""

    text: str
    takes: tuple
    gives: tuple

    @classmethod
    def parse(cls, text):
        """The signature that `text` spells. Raises ValueError if it has not one arrow."""
        if text.count("->") != 1:
            raise ValueError(f"signature {text!r}: wanted what the function takes, one arrow ->, what it returns")
        left, right = (side.replace(",", " ").split() for side in text.split("->"))
        takes = tuple(reversed(word.split("=", 1)) if "=" in word else (word, "") for word in left)
        gives = tuple(tuple(word.split("=", 1)) if "=" in word else (word, "") for word in right)
        return cls(text, tuple(map(tuple, takes)), gives)

    def __deepcopy__(self, memo):
        """Itself, since it never changes: cells are copied often."""
        return self

    @property
    def taken(self):
        """The names on the left."""
        return [name for name, _ in self.takes]

    @property
    def given(self):
        """The names on the right."""
        return [name for name, _ in self.gives]

    def exchanged(self, one, other):
        """The signature with these two names exchanged, and so are those of their gradients."""
        forms = ("{}", "{}'", "d{}")
        names = {form.format(a): form.format(b) for form in forms for a, b in ((one, other), (other, one))}
        takes, gives = (tuple((names.get(name, name), place) for name, place in side) for side in (self.takes, self.gives))
        return Signature(self.text, takes, gives)

    def call(self, function, subject, values):
        """What the function returns for `values`, by name. subject: the object that holds the attributes, or None."""
        positional, keywords = [], {}
        for name, place in self.takes:
            if name == "**weights":
                keywords.update(values["weights"])
            elif name == "0":
                for weight in values["names"] if "*" in place else [""]:
                    clear(attribute(subject, place.replace("*", weight)))
            elif name not in values:
                raise ValueError(f"signature {self.text!r}: {name} is none of {', '.join(values)}")
            elif place.startswith("."):
                set_attribute(subject, place, values[name])
            elif place:
                keywords[place] = values[name]
            else:
                positional.append(values[name])
        return self._named(function(*positional, **keywords), subject)

    def _named(self, returned, subject):
        plain = [name for name, place in self.gives if not place]
        if len(plain) == 1:
            rest = iter([returned])
        elif isinstance(returned, (tuple, list)) and len(returned) == len(plain):
            rest = iter(returned)
        elif plain:
            what = f"{len(returned)} values" if isinstance(returned, (tuple, list)) else type(returned).__name__
            raise ValueError(f"signature {self.text!r} says {len(plain)} values, but the function returned {what}")
        found = {}
        for name, place in self.gives:
            if not place:
                found[name] = next(rest)
            elif "*" in place:
                found[name] = (subject if place.startswith(".") else returned, place)
            else:
                found[name] = attribute(subject, place) if place.startswith(".") else returned[place]
        return found


def attribute(subject, path):
    """subject.a.b for the path ".a.b"."""
    for name in path.split(".")[1:]:
        subject = getattr(subject, name)
    return subject


def set_attribute(subject, path, value):
    """subject.a.b = value for the path ".a.b"."""
    *holders, name = path.split(".")[1:]
    for holder in holders:
        subject = getattr(subject, holder)
    setattr(subject, name, value)


def entries(container, names, detached=()):
    """One array for each name, out of a list in their order, a dict (keys with or without a leading d), or (holder, pattern).

    pattern: "d*" for the keys of a dict, ".d*" for attributes. detached: names that may be missing in a dict, and are None then.
    Raises ValueError for others that are missing there.
    """
    forms = ["d*", "*"]
    if isinstance(container, tuple) and len(container) == 2 and isinstance(container[1], str):
        container, forms = container[0], [container[1]]
        if forms[0].startswith("."):
            return [attribute(container, forms[0].replace("*", name)) for name in names]
    elif not nested(container):
        return list(container)
    found = {name: holder[key] for name, holder, key in leaves(container)}
    if not isinstance(container, dict) and len(found) == len(names) and not {*found} & {*names}:
        return list(found.values())  # in another nesting, and in their order
    keys = [next((key for form in forms if (key := form.replace("*", name)) in found), None) for name in names]
    if lost := tuple(name for name, key in zip(names, keys) if key is None and name not in detached):
        given = ", ".join(map(str, found)) or "nothing"
        raise ValueError(
            f"backward gives {given}, and no gradient of {', '.join(lost)}; if there is none, declare no_gradient = {lost}"
        )
    return [found.get(key) for key in keys]


def nested(container):
    """Whether its arrays are named by paths: those of a dict or a NamedTuple, or of a list of such, as of one for each layer."""
    named = isinstance(container, dict) or hasattr(container, "_fields")
    return named or (isinstance(container, (list, tuple)) and any(map(_holds, container)))


def _holds(value):
    """Whether it is no array, but holds some."""
    return nested(value) or (isinstance(value, (list, tuple)) and any(isinstance(a, np.ndarray) for a in value))


def leaves(container, path=""):
    """(name, holder, key) of each array in nested dicts, lists and tuples; the name is the path to it, cell.W or 0.W."""
    for key, value in container.items() if isinstance(container, dict) else enumerate(container):
        name = f"{path}{container._fields[key] if hasattr(container, '_fields') else key}"
        if type(value) is not np.ndarray and _holds(value):  # they are named in each call
            yield from leaves(value, f"{name}.")
        else:
            yield name, container, key


def clear(arrays):
    """Fill an array, or all arrays of a list or dict, with zeros."""
    if isinstance(arrays, np.ndarray):
        arrays[...] = 0
    else:
        for a in arrays.values() if isinstance(arrays, dict) else arrays:
            clear(a)
