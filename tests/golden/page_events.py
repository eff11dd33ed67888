"""A page as a browser reads it: elements, attributes and text, without the white space that nobody sees."""

from __future__ import annotations

import re
from html.parser import HTMLParser

VOID = frozenset({"br", "hr", "img", "input", "link", "meta", "source"})
INLINE = frozenset({"a", "b", "bdi", "button", "code", "em", "i", "kbd", "span", "strong"})
"""White space beside these can be seen."""
VERBATIM = frozenset({"pre", "textarea"})
WHITE = re.compile(r"[ \t\n\r\f]+")


def page_events(page: str) -> list[str]:
    """A line for each start, end and text of a page."""
    reader = _Reader()
    reader.feed(page)
    reader.close()
    reader.end_text("")
    return reader.events


def collapsed(text: str) -> str:
    """Text in which a run of white space is one space, without any at its ends."""
    return WHITE.sub(" ", text).strip(" ")


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.events: list[str] = []
        self._text = ""
        self._before = ""
        self._verbatim = 0

    def handle_decl(self, decl: str) -> None:
        self.events.append(f"<!{decl}>")

    def handle_comment(self, data: str) -> None:
        self.events.append(f"<!--{data}-->")

    def handle_data(self, data: str) -> None:
        self._text += data

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.end_text(tag)
        self._verbatim += tag in VERBATIM
        self.events.append(" ".join([f"<{tag}", *(f"{name}={value!r}" for name, value in sorted(attrs))]) + ">")

    def handle_endtag(self, tag: str) -> None:
        if tag in VOID:
            return
        self.end_text(tag)
        self._verbatim -= tag in VERBATIM
        self.events.append(f"</{tag}>")

    def end_text(self, after: str) -> None:
        """Keeps what was read between the tags ``before`` and ``after``."""
        text = self._text if self._verbatim else self._seen(after)
        if text:
            self.events.append(repr(text))
        self._text, self._before = "", after

    def _seen(self, after: str) -> str:
        text = WHITE.sub(" ", self._text)
        if not text.strip(" "):
            return ""
        text = text if self._before in INLINE else text.lstrip(" ")
        return text if after in INLINE else text.rstrip(" ")
