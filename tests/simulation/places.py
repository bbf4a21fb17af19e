"""On which device a connection may be taken to be, by what its app has said so far."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import product

from tests.proof.races.model import Place
from tests.simulation.handling import Handling


@dataclass(eq=False, slots=True)
class Saying:
    """What an app says of its device; it holds from when that is stored."""

    value: str
    asked_at: float
    handling: Handling
    done_at: float | None = None  # when it was confirmed

    def is_done_before(self, moment: float) -> bool:
        """Whether it was confirmed by then, and nothing went wrong: else it may be done later."""
        return self.done_at is not None and self.done_at < moment and not self.handling.harms


@dataclass(slots=True)
class Known:
    """One thing that is stored of a connection: what was said `first`, and what was said since."""

    first: str | None = None
    sayings: list[Saying] = field(default_factory=list)

    def possible(self, first: float, last: float) -> set[str | None]:
        """All that it may be at some time between these two."""
        found = {
            each.value
            for each in self.sayings
            if each.asked_at <= last and not self._is_over(each, first)
        }
        is_first = not any(each.is_done_before(first) for each in self.sayings)
        return {*found, self.first} if is_first else set(found)

    def _is_over(self, saying: Saying, since: float) -> bool:
        return any(
            saying.is_done_before(by.asked_at) and by.is_done_before(since) for by in self.sayings
        )


def places(names: Iterable[str | None], registered: Iterable[str | None]) -> frozenset[Place]:
    return frozenset(Place(*each) for each in product(names, registered))
