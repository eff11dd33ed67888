"""The addresses of a service for people: one page without scripts, which needs nothing from elsewhere."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from jinja2 import Environment

PAGE = Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True).from_string("""\
<!doctype html>
<html lang="en">
<meta charset="utf-8">
<title>{{ api.info.title }} {{ api.info.version }}</title>
<style>
  body { font: 16px/1.5 system-ui, sans-serif; max-width: 52rem; margin: 2rem auto; padding: 0 1rem; color-scheme: light dark }
  code { font-size: 0.95em } h2 { margin-top: 2rem } td { padding: 0.1rem 1rem 0.1rem 0; vertical-align: top }
</style>
<h1>{{ api.info.title }} {{ api.info.version }}</h1>
<p>{{ api.info.description }} For programs: <a href="/openapi.json">openapi.json</a>.</p>
{% for path, methods in api.paths.items() %}
{% for method, about in methods.items() %}
<h2><code>{{ method|upper }} {{ path }}</code></h2>
<p>{{ about.description }}</p>
{% for parameter in about.parameters or [] %}
<p><code>?{{ parameter.name }}=</code></p>
{% endfor %}
{% for kind, content in (about.requestBody or {}).get("content", {}).items() %}
<p><code>{{ kind }}</code> {{ content.schema.description }}</p>
<table>
{% for name, field in (content.schema.properties or {}).items() %}
<tr><td><code>{{ name }}</code></td><td>{{ field.type }}</td><td>{{ field.description }}</td></tr>
{% endfor %}
</table>
{% endfor %}
<table>
{% for status, answer in about.responses.items() %}
<tr><td>{{ status }}</td><td>{{ answer.description }}</td></tr>
{% endfor %}
</table>
{% endfor %}
{% endfor %}
""")


def addresses_page(openapi: Mapping[str, Any]) -> str:
    """The page, from the description that programs read."""
    return PAGE.render(api=openapi)
