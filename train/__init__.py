"""Stage two: a feature store to a trained tagging model in a run folder."""
