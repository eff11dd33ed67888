"""Generators without prompts: one decoder, which writes the tags as one sequence; they differ in their order and in what helps."""
