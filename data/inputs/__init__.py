"""What can be read: folders with metadata in several forms, WebDataset shards; one iterator over both."""

from .opening import Inputs, open_inputs

__all__ = ["Inputs", "open_inputs"]
