"""Stores made of stores: the parts of one extraction, or finished stores of different inputs."""
