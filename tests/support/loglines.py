"""What a function logs, as Cloud Logging reads it."""

import json
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stdout
from io import StringIO

from functions import telemetry

Lines = Callable[[], list[dict[str, object]]]


@contextmanager
def logged() -> Iterator[Lines]:
    """What is logged inside, as a function logs it, line by line."""
    root, ours = logging.getLogger(), logging.getLogger("functions")
    before = (root.handlers, root.level, ours.level)
    with redirect_stdout(StringIO()) as out:
        telemetry.configure()
    try:
        yield lambda: [json.loads(line) for line in out.getvalue().splitlines()]
    finally:
        root.handlers = before[0]
        root.setLevel(before[1])
        ours.setLevel(before[2])
