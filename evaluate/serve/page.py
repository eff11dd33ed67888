"""The addresses of a service for people: one page without scripts, which needs nothing from elsewhere."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader

PAGES = Path(__file__).resolve().parent / "pages"


def addresses_page(openapi: Mapping[str, Any]) -> str:
    """The page, from the description that programs read."""
    environment = Environment(loader=FileSystemLoader(PAGES), autoescape=True, trim_blocks=True, lstrip_blocks=True)
    return environment.get_template("addresses.html").render(api=openapi)
