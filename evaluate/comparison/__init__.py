"""The paper's tables on any feature store: the grid of runs, its runner, measures, and the documents (``optsg-tables``)."""
