"""Contracts between the stages: inputs, tags, the feature store, batches and metrics."""
