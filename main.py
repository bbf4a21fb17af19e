"""The deployed functions by name: each is built, of checked settings, when it is asked for."""

import gc
from importlib import import_module
from typing import Any

import functions_framework.aio

from functions import later, settings, telemetry


def __getattr__(name: str) -> Any:
    """Finds the function that functions-framework was started for; a cold start loads no other.

    Exits with all that is wrong when the environment won't do for it.
    """
    kind = settings.FUNCTIONS.get(name)
    if kind is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    try:
        loaded = settings.load(kind)
    except settings.SettingsError as error:
        raise SystemExit(str(error)) from error
    telemetry.configure()
    # What is loaded now stays. To look for garbage in it takes an eighth of the start, and later
    # would stall requests for 45 ms at a time.
    gc.disable()
    handler = import_module(f"functions.{name}").build(loaded)
    gc.freeze()
    gc.enable()
    function = functions_framework.aio.http(later.beside_the_first(handler))
    globals()[name] = function
    return function
