"""``optsg-report``: an evaluation, or several beside each other, as a page."""
