"""JSON as clients write it: strict in its form, lenient with halves of characters in its strings.

A reason that an app has cut in the middle of an emoji holds half of a surrogate pair. A cancel must
not fail for that, so the half is read; the check of the field then removes it or refuses the field.
"""

import json
from typing import Any


class NotJson(ValueError):
    """The text is no JSON; the message says why."""


def loads(text: str) -> Any:
    """The value that `text` holds. Raises NotJson."""
    try:
        return json.loads(text, parse_constant=_refuse)
    except RecursionError as error:
        raise NotJson("nested too deeply") from error
    except ValueError as error:
        raise NotJson("not JSON") from error


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is no JSON, though Python reads it")
