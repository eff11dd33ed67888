"""A run folder and what it means."""
