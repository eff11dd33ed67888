"""Tags into the files that other tools read: beside each video or picture, and in the table of a Hugging Face folder."""
