"""What ``optsg-tag --out`` writes, and how it goes on after an interruption."""
