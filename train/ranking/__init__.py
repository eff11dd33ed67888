"""One decision over all sources: how likely a tag is right for a video, and which tags are given."""
