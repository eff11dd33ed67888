"""Numbers of an evaluation: predictions, metrics, confidence, intervals, errors. No page, no terminal."""
