"""Tagging of many files: what is asked for, outputs that an interrupted run goes on with, ``.info.json`` beside the files."""
