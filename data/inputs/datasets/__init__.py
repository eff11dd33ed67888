"""Data sets as Hugging Face's libraries write them: rows of Parquet or Arrow that hold pictures and videos themselves."""
