"""Pictures as SVG, which read on light and on dark pages."""

from cellcheck.properties.writing.markup import Markup, joined, tag

STYLE = """
text { font: 11px system-ui, sans-serif; fill: #24292f } .title { font-size: 14px; font-weight: 600 } .name { font-weight: 600 }
.small { fill: #57606a } .line { stroke: #8c959f; fill: none } .grid { stroke: #8c959f; stroke-opacity: .3; fill: none }
.faint { fill: #8c959f; fill-opacity: .15 }
@media (prefers-color-scheme: dark) { text { fill: #e6edf3 } .small { fill: #9198a1 } }
"""


def picture(width, height, parts, title, style=None, **attributes):
    """The whole picture as Markup: a file of its own with a `style`, else part of a page that has one."""
    size = {"width": width, "height": height, "viewBox": f"0 0 {width:g} {height:g}", "role": "img"}
    if style is None:
        return tag("svg", *parts, **size, **attributes, aria_label=title)
    head = tag("title", title), tag("style", Markup(STYLE + style))
    return Markup(tag("svg", "\n", joined([*head, *parts], "\n"), "\n", xmlns="http://www.w3.org/2000/svg", **size) + "\n")


def text(words, x, y, kind=None, anchor=None, **attributes):
    """Words that start at (x, y), end there (anchor "end") or have their middle there ("middle"); kind: a class of the style."""
    return tag("text", words, class_=kind, x=x, y=y, text_anchor=anchor, **attributes)


def box(kind, x, y, width, height, tip=None, **attributes):
    """A rectangle; tip: what is shown when the pointer rests on it."""
    inside = () if tip is None else (tag("title", tip),)
    return tag("rect", *inside, class_=kind, x=x, y=y, width=width, height=height, **attributes)


def path(kind, d, **attributes):
    """A line along `d`, in SVG's own language."""
    return tag("path", class_=kind, d=d, **attributes)
