"""A store as a folder of WebDataset shards."""
