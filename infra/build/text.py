"""Source text without its comments, whatever its strings hold."""

import re

# A string, or a comment: whichever comes first hides the other.
_PARTS = r"""(?P<string>"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*')|(?P<comment>{comment}|/\*.*?\*/)"""


def without_comments(text: str, to_the_end_of_the_line: str) -> str:
    """`text` with a blank for each comment; `to_the_end_of_the_line` is a regular expression for
    what begins those of one line."""
    parts = re.compile(_PARTS.format(comment=rf"(?:{to_the_end_of_the_line})[^\n]*"), re.DOTALL)
    return parts.sub(lambda part: part["string"] or " ", text)
