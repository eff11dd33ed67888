"""``optsg-serve``: tags over HTTP, for other software."""
