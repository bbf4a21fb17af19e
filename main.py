"""The four functions by name: each is loaded, with its settings checked, when it is asked for."""

from importlib import import_module
from typing import Any

from functions import settings, telemetry


def __getattr__(name: str) -> Any:
    """Finds the function that functions-framework was started for; a cold start loads no other.

    Exits with all that is wrong when the environment won't do for it.
    """
    if name not in settings.FUNCTIONS:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    try:
        settings.load(name)
    except settings.SettingsError as error:
        raise SystemExit(str(error)) from error
    telemetry.configure()
    function = getattr(import_module(f"functions.{name}"), name)
    globals()[name] = function
    return function
