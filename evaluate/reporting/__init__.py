"""What the report says of errors and of several runs, computed from saved predictions alone."""
