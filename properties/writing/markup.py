"""Elements of HTML and SVG. Whatever is not markup already is escaped where it is put in."""

from html import escape

LONG = 4000  # characters of one text


class Markup(str):
    """Text that is markup already."""

    __slots__ = ()


def tag(name, /, *inside, **attributes):
    """The element as Markup: `<name/>` without `inside`, else `<name>inside</name>`.

    inside: text, numbers and Markup; None is left out. attributes: None is left out; class_ stands for class, data_law for data-law.
    """
    given = {key.rstrip("_").replace("_", "-"): value for key, value in attributes.items() if value is not None}
    opening = name + "".join(f' {key}="{_escaped(value)}"' for key, value in given.items())
    return Markup(f"<{opening}>{joined(inside)}</{name}>" if inside else f"<{opening}/>")


def joined(parts, between=""):
    """Text, numbers and Markup one after the other, as Markup; None is left out."""
    return Markup(between.join(_escaped(part) for part in parts if part is not None))


def _escaped(value):
    if isinstance(value, Markup):
        return value
    text = f"{round(value, 2):.10g}" if isinstance(value, float) else str(value)
    text = text if len(text) <= LONG else f"{text[:LONG]}..."
    return escape("".join(c if c.isprintable() or c in "\n\t" else c.encode("unicode_escape").decode() for c in text))
