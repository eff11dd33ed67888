"""From prompts to tags: decoding, keeping to allowed tags, reading tokens back as tags."""
