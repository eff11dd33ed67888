"""Scores, reports and tags for new videos from a trained run."""
