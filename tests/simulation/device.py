"""Devices: whose they may be, as their owners have asked for it, and how their tokens fare."""

from collections import defaultdict
from dataclasses import dataclass, field

from functions.ports.push_sender import Outcome
from tests.simulation.phone import Said
from tests.simulation.stage import Stage


@dataclass(eq=False, slots=True)
class Claim:
    """One registration of a token, or its end."""

    said: Said
    asked_at: float
    done_at: float | None = None  # when it was confirmed

    @property
    def user(self) -> str | None:
        return self.said.spell.user if self.said.name == "device:register" else None

    @property
    def is_plain(self) -> bool:
        """Whether it was confirmed, and nothing went wrong."""
        return self.done_at is not None and not (self.said.handling and self.said.handling.harms)


@dataclass
class Devices:
    stage: Stage
    claims: dict[str, list[Claim]] = field(default_factory=lambda: defaultdict(list))
    outcomes: dict[str, Outcome] = field(default_factory=dict)  # of those that are not well
    ill_since: dict[str, float] = field(default_factory=dict)

    def asked(self, said: Said) -> None:
        self.claims[said.what].append(Claim(said, self.stage.now))

    def answered(self, said: Said, ok: bool) -> None:
        for claim in self.claims.get(said.what, []):
            if claim.said is said and ok:
                claim.done_at = self.stage.now

    def fall_ill(self, token: str, outcome: Outcome) -> None:
        """From now on FCM says so of it."""
        self.outcomes[token] = outcome
        self.ill_since.setdefault(token, self.stage.now)
        self.stage.say(token, "is", outcome.name, "from now on")

    def outcome(self, token: str) -> Outcome:
        return self.outcomes.get(token, Outcome.SENT)

    def may_be(self, token: str, user: str, since: float) -> bool:
        """Whether a device may have been `user`'s at some time since then."""
        claims = self.claims.get(token, [])
        for number, claim in enumerate(claims):
            taken = [later for later in claims[number + 1 :] if later.is_plain]
            is_over = any((later.done_at or since) < since for later in taken)
            if claim.user == user and not is_over:
                return True
        return False

    def is_surely(self, token: str, user: str, first: float, last: float) -> bool:
        """Whether it was `user`'s, and well, for all of this time."""
        claims = [claim for claim in self.claims.get(token, []) if claim.asked_at < last]
        if not claims or self.ill_since.get(token, last) < last:
            return False
        if not all(claim.is_plain for claim in claims):
            return False  # nobody knows in which order they were done
        newest = claims[-1]
        return newest.user == user and newest.done_at is not None and newest.done_at < first
