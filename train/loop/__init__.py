"""Training: steps, validation, states to go on from, processes, log."""
