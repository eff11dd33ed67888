"""The feature store: its schema, its two forms on disk, reading, writing, merging, converting, verifying."""

from .feature_store import FeatureStore, open_part, open_store

__all__ = ["FeatureStore", "open_part", "open_store"]
