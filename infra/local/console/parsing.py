"""Reads what others have written, who may have written anything."""

import json
from typing import Any


def parsed(text: str) -> Any:
    """The value of a JSON text. Raises ValueError and RecursionError."""
    value = json.loads(text)
    if "\\ud" not in text.lower():
        return value
    # JSON can write one half of a surrogate pair. No text that has it can be encoded, so it would
    # fail wherever it is looked for or shown.
    return json.loads(json.dumps(value, ensure_ascii=False).encode(errors="replace"))
