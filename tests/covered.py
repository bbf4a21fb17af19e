"""How much of the functions the quick tests cover: `python -m tests.covered`, after the tests."""

import io
import sys
from dataclasses import dataclass
from typing import Any

import coverage

_LEAST = 95  # per cent, of lines and branches


@dataclass(frozen=True)
class Part:
    """A part of `functions/`, and the tests that are to cover it."""

    title: str
    tests: str  # a regular expression: the folders under tests/
    files: dict[str, list[str]]  # which the report includes, or omits


PARTS = (
    Part(
        "functions/ without services/, by tests/unit and tests/simulation",
        "^tests/(unit|simulation)/",
        {"omit": ["functions/services/*"]},
    ),
    Part(
        "functions/services/, by tests/contract",
        "^tests/contract/",
        {"include": ["functions/services/*"]},
    ),
)


def main() -> int:
    """Prints a line for each part, and the whole table of one that is covered too little."""
    measured = coverage.Coverage()
    measured.load()
    is_enough = True
    for part in PARTS:
        table = io.StringIO()
        contexts = [part.tests, "^$"]  # what runs on import runs in no test
        wanted: dict[str, Any] = {**part.files, "contexts": contexts, "skip_covered": True}
        per_cent = measured.report(file=table, show_missing=True, **wanted)
        print(f"{per_cent:.1f} % covered of {part.title}")
        if per_cent < _LEAST:
            is_enough = False
            print(f"which should be {_LEAST} % at least:\n{table.getvalue()}")
    return 0 if is_enough else 1


if __name__ == "__main__":
    sys.exit(main())
