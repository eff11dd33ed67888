"""``optsg-tag`` and ``optsg.Tagger``: tags for files that no model has seen."""
