"""Files from anybody, read within bounds or refused in one line: JSON, tar, Parquet."""
