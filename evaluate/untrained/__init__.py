"""Scores of tags without any training: from what frozen encoders know of names, and from titles."""
