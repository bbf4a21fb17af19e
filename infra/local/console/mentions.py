"""Whether a text names an id, in whichever way texts of requests write it."""

import json
import re
from functools import lru_cache
from urllib.parse import quote

from google.protobuf.text_encoding import CEscape, CUnescape


def mentions(text: str, id: str) -> bool:
    """Whether `text` has `id`, and not only a longer one that contains it."""
    if not id or not any(form in text for form in written(id)):  # which takes the least time
        return False
    return _pattern(id).search(text) is not None


@lru_cache(maxsize=2048)
def written(id: str) -> tuple[str, ...]:
    """The id as it is, in JSON, in a URL, and each of these in a message of Protocol Buffers."""
    in_json = (json.dumps(id, ensure_ascii=is_ascii)[1:-1] for is_ascii in (True, False))
    forms = (id, *in_json, quote(id, safe=""))
    return tuple(dict.fromkeys((*forms, *map(escaped, forms))))


def escaped(text: str) -> str:
    """As a message of Protocol Buffers has it when it is text."""
    made: str = CEscape(text.encode(), as_utf8=False)
    return made


def unescaped(text: str) -> str:
    """Reads `escaped` back; what is no UTF-8 is replaced, and a text that was not `escaped` stays
    as it is: what clients send may look like a message."""
    try:
        made: bytes = CUnescape(text)
    except ValueError:
        return text
    return made.decode(errors="replace")


@lru_cache(maxsize=2048)
def _pattern(id: str) -> re.Pattern[str]:
    forms = "|".join(map(re.escape, written(id)))
    return re.compile(rf"(?<![\w-])(?:{forms})(?![\w-])")
