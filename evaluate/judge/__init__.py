"""``optsg-judge``: people judge novel tags, blind to the system that wrote them."""
