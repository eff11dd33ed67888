from __future__ import annotations

import html.parser

from hypothesis import given
from hypothesis import strategies as st
from optsg.evaluate.report.page import Html, element, escape, join


class Collector(html.parser.HTMLParser):
    """What a parser sees: tags with their attributes, and text."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data):
        self.text += data


def test_plain_text_is_escaped_and_html_is_not():
    assert element("p", "a < b", element("b", "c & d")) == "<p>a &lt; b<b>c &amp; d</b></p>"
    assert join(["<", Html("<br>")]) == "&lt;<br>"


def test_attributes():
    made = element(
        "input", type="search", class_="a b", data_column=3, hidden=True, id=None, x=1.23456789, checked=False
    )
    assert made == '<input type="search" class="a b" data-column="3" hidden x="1.23457">'
    assert element("td", data_value=12345678) == '<td data-value="12345678"></td>'
    assert element("i", title='"><script>') == '<i title="&quot;&gt;&lt;script&gt;"></i>'


def test_characters_that_html_cannot_hold_are_replaced():
    assert escape("a\x00b\x1f\x7f\x9f\ud800\tc\n") == "a\ufffdb\ufffd\ufffd\ufffd\ufffd\tc\n"
    assert escape("\ufffe\uffff") == "\ufffd\ufffd"


@given(st.text(alphabet=st.characters(exclude_categories=["Cc", "Cs"], exclude_characters="\ufffe\uffff")))
def test_no_text_turns_into_markup(text):
    parser = Collector()
    parser.feed(element("p", text, title=text))
    parser.close()
    assert parser.tags == [("p", {"title": text})]
    assert parser.text == text
