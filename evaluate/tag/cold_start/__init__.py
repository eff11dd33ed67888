"""Tags for files without a run: options and tagger of ``optsg-tag --untrained``."""
