"""Systems that are not optsg's own: a class that a person or an installed package names, imported and looked at.

Importing a class runs its module. So a class is imported only where somebody named it; what a run folder says of itself
names nothing (:func:`optsg.train.systems.registry.find_system`).
"""

from __future__ import annotations

import inspect
from functools import reduce
from importlib import import_module

from ...data.errors import ConfigError, reason_of
from ..model.video_title_model import VideoTitleModel
from .system import System
from .tuned_scalar import TunedScalar

PROTOCOL = f"{System.__module__}.{System.__qualname__}"


def import_system(spelling: str) -> type[System]:
    """The class that ``MODULE:CLASS`` names.

    Raises:
        ConfigError: it cannot be imported, or is no whole :class:`System`; the message says what it lacks.
    """
    module, _, name = spelling.partition(":")
    try:
        found: object = reduce(getattr, name.split("."), import_module(module))
    except Exception as error:  # code of others raises what it likes
        raise ConfigError(
            f"the system {spelling} cannot be imported ({reason_of(error)}); install its package, or put the folder that "
            "holds its module on PYTHONPATH"
        ) from error
    return _checked(spelling, found)


def _checked(spelling: str, found: object) -> type[System]:
    if not isinstance(found, type) or not issubclass(found, System):
        raise ConfigError(f"{spelling} is no system: expected a class that derives from {PROTOCOL}")
    if inspect.isabstract(found):
        missing = ", ".join(sorted(found.__abstractmethods__))
        raise ConfigError(f"{spelling} is no whole system: it lacks {missing}; {PROTOCOL} says what each owes")
    if not isinstance(getattr(found, "scalar", None), TunedScalar):
        raise ConfigError(
            f"{spelling} is no whole system: its class has no scalar, a {TunedScalar.__name__} that says what is tuned"
        )
    settings: object = found.settings  # whatever the class puts there
    if not isinstance(settings, tuple) or not all(map(_is_setting, settings)):
        raise ConfigError(f"{spelling} is no whole system: its settings are no tuple of texts such as 'ranking=false'")
    return found


def _is_setting(setting: object) -> bool:
    return isinstance(setting, str) and "=" in setting


def check_model(spelling: str, system: System) -> None:
    """Raises :class:`ConfigError` for a system that made no model."""
    if not isinstance(getattr(system, "model", None), VideoTitleModel):
        raise ConfigError(
            f"{spelling} is no whole system: its __init__ leaves no {VideoTitleModel.__name__} in self.model"
        )
