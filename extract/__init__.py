"""Stage one: videos, titles and tags to a feature store through frozen encoders."""

from .api import extract

__all__ = ["extract"]
