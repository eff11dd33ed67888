"""What templates make of values: text stays text, and nothing is left out without a word."""

from __future__ import annotations

import html.parser
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jinja2 import UndefinedError
from optsg.evaluate.report.page import FOLDER, asset, environment, render_page


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


def rendered(template: str, **shown: object) -> str:
    return environment().from_string(template).render(shown)


def test_plain_text_is_escaped_and_what_a_macro_made_is_not():
    macro = "{% macro bold(text) %}<b>{{ text }}</b>{% endmacro %}"
    assert rendered(macro + "<p>{{ a }}{{ bold(b) }}</p>", a="a < b", b="c & d") == "<p>a &lt; b<b>c &amp; d</b></p>"
    assert rendered('<i title="{{ a }}"></i>', a="\"'><script>") == '<i title="&#34;&#39;&gt;&lt;script&gt;"></i>'


def test_numbers():
    assert rendered("{{ x }} {{ n }} {{ n | count }} {{ rate | percent }}", x=1.23456789, n=12345678, rate=0.1234) == (
        "1.23457 12345678 12,345,678 12.3"
    )


def test_characters_that_html_cannot_hold_are_replaced():
    shown = {"a": "a\x00b\x1f\x7f\x9f\ud800\tc\n", "b": "\ufffe\uffff"}
    assert rendered("{{ a }}", **shown) == "a\ufffdb\ufffd\ufffd\ufffd\ufffd\tc\n"
    assert rendered('{{ b }}<i title="{{ b }}">{{ [b, b] | join(", ") }}{{ b ~ 1 }}</i>', **shown) == (
        '\ufffd\ufffd<i title="\ufffd\ufffd">\ufffd\ufffd, \ufffd\ufffd\ufffd\ufffd1</i>'
    )


def test_every_other_character_is_kept():
    kept = "\t\n \x7e\xa0\ud7ff\ue000\ufffd\U00010000\U0010ffff"
    assert rendered("{{ a }}", a=kept) == kept


@given(st.text(alphabet=st.characters(exclude_categories=["Cc", "Cs"], exclude_characters="\ufffe\uffff")))
def test_no_text_turns_into_markup(text):
    parser = Collector()
    parser.feed(rendered('<p title="{{ text }}">{{ text }}</p>', text=text))
    parser.close()
    assert parser.tags == [("p", {"title": text})]
    assert parser.text == text


@pytest.mark.parametrize(
    "template", ["{{ gone }}", "{{ there.gone }}", "{% if gone %}{% endif %}", "{% for x in gone %}{% endfor %}"]
)
def test_what_is_not_given_is_an_error(template):
    with pytest.raises(UndefinedError, match="gone"):
        rendered(template, there={})


@pytest.mark.parametrize("template", ["report.html", "comparison.html", "tables.html"])
def test_a_page_is_not_made_of_half_its_values(template):
    with pytest.raises(UndefinedError):
        render_page(template, version="1")


def test_templates_let_style_script_and_pictures_of_ours_through_and_nothing_else():
    let_through = {
        (path.name, expression)
        for path in (FOLDER / "templates").iterdir()
        for expression in re.findall(r"\{\{([^}]*\bsafe\b[^}]*)\}\}", path.read_text(encoding="utf-8"))
    }
    assert let_through == {
        ("page.html", " style | safe "),
        ("page.html", " script | safe "),
        ("tables.html", " section.plot | safe "),
        ("tables.html", " heat_map | safe "),
    }
    every = "".join(path.read_text(encoding="utf-8") for path in (FOLDER / "templates").iterdir())
    assert not re.search(r"autoescape|\|\s*escape|Markup", every)


@pytest.mark.parametrize("path", sorted((FOLDER / "assets").iterdir()), ids=lambda path: path.name)
def test_assets_end_no_element_and_fetch_nothing(path):
    assert not re.search(r"(?i)</|<!--|@import|url\(|https?:", asset(path.name))
