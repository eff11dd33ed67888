"""``optsg-memory``: examples and tags for a trained run, without training."""
