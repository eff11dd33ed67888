"""Frozen image and text encoders: how they are named, opened and run. The only imports of open_clip, timm, transformers."""
