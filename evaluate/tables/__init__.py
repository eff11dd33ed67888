"""``optsg-tables``: the paper's tables and figures, trained, scored and written."""
