"""Metadata: the columns and cells of tables, a row as what is known of a video, and what a person should know beforehand."""
