"""``optsg-store`` with the commands that need a trained run."""
