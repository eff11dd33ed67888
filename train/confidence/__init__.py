"""What a score means: calibration on validation, reliability, and the precision that a threshold gives."""
