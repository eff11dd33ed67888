"""What a person decided about a vocabulary: which tags are one, which go, and which stand under another."""
