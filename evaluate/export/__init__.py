"""``optsg-export``: a run for software without PyTorch."""
