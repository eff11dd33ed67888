"""``optsg`` alone: what there is here, what comes next, and which commands do it."""
