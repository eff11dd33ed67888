"""What can be read: folders with metadata in several forms, WebDataset shards; one iterator over both."""

from .opening import Inputs, expand_pattern, open_inputs, open_listing, skipped_files

__all__ = ["Inputs", "expand_pattern", "open_inputs", "open_listing", "skipped_files"]
