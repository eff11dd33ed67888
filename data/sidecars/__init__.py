"""Files beside a video or picture in which the tools that people have keep tags: read, and written without losing what is there."""
