"""Words of a guest (names, messages, paths) made safe for one line of a terminal or of Markdown."""

import re

LONG = 160  # characters of one message


def line(text, most=LONG):
    """The text as one printable line of at most `most` characters; control characters and ANSI escapes are spelled out."""
    text = " ".join(str(text).split())[: most + 1]
    text = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
    return text if len(text) <= most else text[: most - 3] + "..."


def prose(text, most=4 * LONG):
    """The line for a paragraph or a table of Markdown: what it would read as markup is escaped."""
    return re.sub(r"([\\`<&|*]|\]\()", r"\\\1", line(text, most))


def code(text, most=LONG):
    """The line as code of Markdown, which may stand in a table."""
    text = line(text, most).replace("|", "\\|")
    ticks = "`" * (1 + max(map(len, re.findall("`+", text)), default=0))
    return f"{ticks} {text} {ticks}" if "`" in text else f"`{text}`"
