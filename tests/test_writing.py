"""Words of a guest in a terminal, in Markdown, HTML and SVG: one line each, and never markup."""

import xml.etree.ElementTree as ET
from html.parser import HTMLParser

import pytest
from cellcheck.properties.writing import svg
from cellcheck.properties.writing.markup import Markup, joined, tag
from cellcheck.properties.writing.text import code, line, marked, prose, several

from bench.chart import chart

HOSTILE = "<script>alert('&')</script> | `tick` \x1b[31mred\x07\n second\u202e line"


def test_a_line_is_printable_and_short():
    """Control characters are spelled out, newlines become spaces, a hundred kilobytes become a few words."""
    said = line(HOSTILE)
    assert said.isprintable() and "\\x1b[31mred\\x07 second\\u202e line" in said
    assert len(line("x" * 100_000)) == 160
    assert line("\x1b" * 100_000, 20) == "\\x1b\\x1b\\x1b\\x1b\\..."
    assert line("größe") == "größe"
    assert several(["weights", "x", "states"]) == "weights, x and states"
    assert line("no gradient flows back", 16) == "no gradient..."


@pytest.mark.parametrize("character", "<|`&")
def test_prose_escapes_what_markdown_reads_as_markup(character):
    """Each such character of the text has its backslash."""
    said = prose(HOSTILE)
    assert said.count("\\" + character) == said.count(character) == HOSTILE.count(character)
    assert prose("[x](javascript:0)") == "[x\\](javascript:0)"


def test_a_sentence_keeps_the_code_in_it():
    """What stands between two backticks stays; a backtick without a partner, or around nothing, is escaped."""
    assert marked("`a * b` lacks <f> * `c`") == "`a * b` lacks \\<f> \\* `c`"
    assert marked("one ` alone") == "one \\` alone" and marked("``<b>``") == "\\`\\`\\<b>\\`\\`"


def test_code_may_hold_backticks_and_pipes():
    """The fence is longer than any run of backticks in it, and a pipe does not end the cell of a table."""
    assert code("a") == "`a`"
    assert code("`a``b|") == "``` `a``b\\| ```"


def test_markup_escapes_text_and_attributes_once():
    """What is markup already stays; a parser gives back the text."""
    inner = tag("b", HOSTILE)
    outer = tag("p", inner, 1.50001, None, title='"' + HOSTILE)
    assert tag("br", class_=None) == "<br/>"
    seen, parser = [], HTMLParser()
    parser.handle_data, parser.handle_starttag = seen.append, lambda name, given: seen.append((name, dict(given)))
    parser.feed(outer)
    assert [s[0] for s in seen if isinstance(s, tuple)] == ["p", "b"]
    assert seen[0][1]["title"].startswith('"<script>')
    assert seen[2].startswith("<script>alert('&')") and seen[3] == "1.5" and "\x1b" not in outer
    assert joined(["<", Markup("<br/>"), 2], "-") == "&lt;-<br/>-2"


def test_a_picture_is_xml_whatever_its_words():
    """Titles, labels and tips; a picture of its own has both colour schemes."""
    parts = [svg.text(HOSTILE, 1, 2, "name", "end"), svg.box("a", 0, 0, 9.333, 1, HOSTILE), svg.path("line", "M0 0H1")]
    root = ET.fromstring(svg.picture(10, 20, parts, HOSTILE, ".a { fill: red }"))
    assert [element.tag.rpartition("}")[2] for element in root] == ["title", "style", "text", "rect", "path"]
    assert root[2].text.startswith("<script>") and root[3].get("width") == "9.33" and root[3][0].text == root[2].text
    assert "prefers-color-scheme: dark" in root[1].text
    inline = ET.fromstring(svg.picture(1, 1, [], "t"))
    assert inline.get("aria-label") == "t" and not len(inline)


def test_a_chart_has_a_line_and_a_label_for_each_series():
    """Labels do not cover each other, and hollow points are those that were scaled."""
    root = ET.fromstring(chart({"<a>": [(10, 1e-5, True), (1000, 2.0, True)], "b": [(10, 1e-4, True), (1000, 2.1, False)]}, "t"))
    labels = {e.text: float(e.get("y")) for e in root.iter("{http://www.w3.org/2000/svg}text")}
    assert abs(labels["<a>"] - labels["b"]) >= 18 and {"10 s", "100 ms", "10 µs", "1,000"} <= labels.keys()
    circles = list(root.iter("{http://www.w3.org/2000/svg}circle"))
    assert sum(e.get("fill") == "none" for e in circles) == 1 and len(circles) == 4 + 2
