"""Words of a guest (names, messages, paths) made safe for one line of a terminal or of Markdown."""

import re
from textwrap import wrap

LONG = 160  # characters of one message
WIDTH = 80  # columns of what is printed


def line(text, most=LONG):
    """The text as one printable line of at most `most` characters; control characters and ANSI escapes are spelled out.

    It is cut between two words, unless the last of them is as long as the rest.
    """
    text = " ".join(str(text).split())[: most + 1]
    text = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
    words = text[: most - 2].rpartition(" ")[0]
    return text if len(text) <= most else (words if 2 * len(words) > most else text[: most - 3]) + "..."


def several(names):
    """a, b and c."""
    names = list(names)
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def folded(lines):
    """The same lines, each in as many as it takes to fit WIDTH columns; those that follow are indented by four more.

    A command stays in one line, so that it can be copied.
    """
    found = []
    for text in lines:
        indent = " " * (len(text) - len(text.lstrip()) + 4)
        command = text.lstrip().startswith("rerun:")
        found += (
            [text]
            if command
            else wrap(text, WIDTH, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False) or [""]
        )
    return found


def prose(text, most=4 * LONG):
    """The line for a paragraph or a table of Markdown: what it would read as markup is escaped."""
    return _escaped(line(text, most))


def _escaped(text):
    return re.sub(r"([\\`<&|*]|\]\()", r"\\\1", text)


def marked(text, most=4 * LONG):
    """The line for a paragraph of Markdown, in which words between backticks are code; all else is `prose`."""
    parts = line(text, most).split("`")
    if len(parts) % 2 == 0 or not all(parts[1::2]):
        return prose(text, most)
    return "".join(f"`{part}`" if k % 2 else _escaped(part) for k, part in enumerate(parts))


def code(text, most=LONG):
    """The line as code of Markdown, which may stand in a table."""
    text = line(text, most).replace("|", "\\|")
    ticks = "`" * (1 + max(map(len, re.findall("`+", text)), default=0))
    return f"{ticks} {text} {ticks}" if "`" in text else f"`{text}`"
