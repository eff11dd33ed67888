"""What can be read: folders with metadata in several forms, WebDataset shards, data sets in Parquet and Arrow; one iterator over all."""

from .metadata.columns import MetadataOptions
from .opening import (
    Inputs,
    expand_pattern,
    left_out_thumbnails,
    open_inputs,
    open_listing,
    skipped_files,
    tables_of,
    whole_tables,
)

__all__ = [
    "Inputs",
    "MetadataOptions",
    "expand_pattern",
    "left_out_thumbnails",
    "open_inputs",
    "open_listing",
    "skipped_files",
    "tables_of",
    "whole_tables",
]
