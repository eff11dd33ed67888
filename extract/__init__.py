"""Stage one: videos, titles and tags to a feature store, through frozen encoders."""
