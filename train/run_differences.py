"""Where two runs would train different models."""

from __future__ import annotations

import json

from .config import RunConfig

KEEPING = ("state_seconds", "keep_states")
"""Settings that say how states are kept and change nothing about the model."""


def differences(found: RunConfig, wanted: RunConfig) -> list[tuple[str, str, str]]:
    """(setting, its value in ``found``, in ``wanted``) wherever the two would train different models."""
    rows = [(name, getattr(found, name), getattr(wanted, name)) for name in ("system", "size")]
    for part in ("model", "training"):
        have, want = vars(getattr(found, part)), vars(getattr(wanted, part))
        rows += [(name, have[name], want[name]) for name in want if name not in KEEPING]
    had, wants = ((run.init_from or {}).get("weights") for run in (found, wanted))
    rows.append(("the pre-trained weights", had, wants))
    have, want = found.store["header"], wanted.store["header"]
    rows += [(f"the store's {name}", have.get(name), want.get(name)) for name in {**have, **want}]
    return [(name, _written(one), _written(other)) for name, one, other in rows if one != other]


def _written(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
