"""What a user's token says of him beside his id."""

from dataclasses import dataclass
from typing import Self

from functions.readable import readable

# Characters. Each has four bytes at most, so that a profile as it is stored stays below 1 KB.
NAME_LIMIT = 200


@dataclass(frozen=True, slots=True)
class Profile:
    """How a user presents himself to others. Nobody has checked whether it is true."""

    name: str | None = None  # to be shown to people, at most `NAME_LIMIT` characters

    @classmethod
    def of(cls, name: object) -> Self:
        """The profile with what can be read of `name`, whatever that is: nobody is kept out by his
        name."""
        return cls(readable(name, NAME_LIMIT))


NO_PROFILE = Profile()
