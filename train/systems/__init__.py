"""The systems that the paper compares (``method.md`` §6), one module each, behind one interface."""
