"""The systems that the paper compares (Tables 1–3 and 7), a module for each kind, behind one interface."""
