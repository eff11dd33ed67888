"""Health of a vocabulary: misspelt tags, aliases, one-off tags and parents that a feature store's own tags suggest."""
