"""Order-prompted tag sequence generation for video tagging (OP-TSG, ICCV 2023)."""

from __future__ import annotations

__version__ = "0.1.0"
