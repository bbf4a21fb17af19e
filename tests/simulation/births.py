"""Who came first, a call or its cancel: exactly one of them wins, and the other one knows."""

from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field

from tests.simulation.model import CANCELS, INITIATE, Commit, senders
from tests.simulation.phone import Said

_LIFE = 60.0  # seconds for which a cancel that was told `not_found` holds


@dataclass
class Births:
    """`find` takes a sentence about a call that is wrong."""

    find: Callable[[str, str], None]
    # By call and caller. Of cancels: those that may have come first, and those that surely have.
    _tried: dict[str, list[Said]] = field(default_factory=lambda: defaultdict(list))
    _forestalled: dict[tuple[str, str], list[Said]] = field(
        default_factory=lambda: defaultdict(list)
    )
    _born: dict[tuple[str, str], Commit] = field(default_factory=dict)

    def said(self, said: Said) -> None:
        """A frame is on its way."""
        if said.call and said.name in CANCELS:
            self._tried[said.call].append(said)

    def answered_not_found(self, said: Said, now: float) -> None:
        """A cancel was, so that no ring of this caller's may begin any more."""
        whose = senders(said, now)
        assert said.call
        if said.name not in CANCELS or len(whose) > 1 or None in whose:
            return
        key = said.call, str(*whose)
        self._forestalled[key].append(said)
        if (born := self._born.get(key)) and self._holds(said, born.at):
            self.find(f"{said} was answered not_found, though {born.said} has made it ring", key[0])

    def born(self, call: str, caller: str, commit: Commit) -> None:
        """A call was created, and rings."""
        self._born[call, caller] = commit
        for said in self._forestalled[call, caller]:
            if self._holds(said, commit.at):
                self.find(f"{call} rings, though {said} was answered not_found", call)

    def may_be_cancelled(self, said: Said, caller: str, now: float) -> bool:
        """Whether a call that is not there may be born cancelled as `said` asks for it to ring."""
        return any(caller in senders(each, now) for each in self._before(said))

    def may_conflict(self, said: Said) -> bool:
        """Whether a cancel may come first only once `said` is carried out."""
        return said.name == INITIATE and bool(self._before(said))

    def _before(self, said: Said) -> list[Said]:
        """The cancels of its call that may hold when `said` comes."""
        assert said.handling
        began = said.handling.began
        return [
            each
            for each in self._tried[str(said.call)]
            if each.handling
            and each.handling.began
            and (each.handling.ended is None or began < each.handling.ended + _LIFE)
        ]

    def _holds(self, said: Said, moment: float) -> bool:
        """Whether what was answered at any time after `said` came forbids a ring at a `moment`. It
        may be the answer to an earlier cancel again, whose time goes on."""
        assert said.handling
        began = [each.handling.began for each in self._before(said) if each.handling]
        return moment < min([said.handling.began, *began]) + _LIFE
