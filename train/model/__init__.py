"""The networks (paper Figure 2): one box a file, and the file that puts them together."""
