"""Extraction on a Ray cluster: ``optsg-extract … --ray``. See ``docs/extraction-on-a-cluster.md``."""
