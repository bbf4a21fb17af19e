"""Opaque tokens: the app's own backend is asked whose they are, as the app itself would ask it."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from hashlib import sha256
from time import monotonic

from functions.ports.identity import Identified, IdentityUnavailable, NotAuthenticated
from functions.recent import Recent
from functions.services.http import Http, NoAnswer
from functions.services.identity.choice import NOT_VALID, Provider, Unverified
from functions.services.identity.claims import identified_at, json_in
from functions.settings import IdentitySettings

_TIMEOUT_SECONDS = 5.0
_KNOWN_SECONDS = 15 * 60.0  # for which a token that was good is taken for good
_REFUSED_SECONDS = 30.0  # for which one that was refused is not asked about again
_REMEMBERED = 10_000  # tokens, by their hashes; of more, those that came longest ago are forgotten


@dataclass(frozen=True, slots=True)
class _Answer:
    """Whose a token is (None: nobody's), and until when that holds."""

    identified: Identified | None
    until: float


class IntrospectionIdentity:
    """Asks a URL whose tokens are, and keeps the answers for a while."""

    def __init__(
        self,
        http: Http,
        url: str,
        user_at: str,
        name_at: str | None,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        """`user_at` is the JSON pointer to the user's id in the answer, and `name_at` to his name,
        which nobody asks for if it is None."""
        self._http = http
        self._url = url
        self._user_at = user_at
        self._name_at = name_at
        self._clock = clock
        # Apart, so that a flood of what is no token can't make good ones forgotten.
        self._good: Recent[bytes, _Answer] = Recent(_REMEMBERED)
        self._refused: Recent[bytes, _Answer] = Recent(_REMEMBERED)
        self._asking: dict[bytes, asyncio.Task[_Answer]] = {}

    async def verify(self, token: str) -> Identified:
        """1 GET, unless the answer is known; of those who ask for one token at once, one asks."""
        name = sha256(token.encode(errors="replace")).digest()
        answer = self._known(name) or await self._shared(name, token)
        if answer.identified is None:
            raise NotAuthenticated(NOT_VALID)
        return answer.identified

    async def warm_up(self) -> None:
        """There is nothing that could be asked without a token."""

    def _known(self, name: bytes) -> _Answer | None:
        now = self._clock()
        found = (answers.get(name) for answers in (self._good, self._refused))
        return next((answer for answer in found if answer and answer.until > now), None)

    async def _shared(self, name: bytes, token: str) -> _Answer:
        task = self._asking.get(name)
        if task is None:
            task = self._asking[name] = asyncio.create_task(self._ask(name, token))
            task.add_done_callback(partial(self._asked_for, name))
        # Whoever gives up must not take the answer from the others.
        return await asyncio.shield(task)

    def _asked_for(self, name: bytes, task: asyncio.Task[_Answer]) -> None:
        self._asking.pop(name, None)
        if not task.cancelled():
            task.exception()  # nobody may have waited for it

    async def _ask(self, name: bytes, token: str) -> _Answer:
        identified = await self._asked(token)
        answers, held = (
            (self._good, _KNOWN_SECONDS) if identified else (self._refused, _REFUSED_SECONDS)
        )
        answer = _Answer(identified, self._clock() + held)
        answers.put(name, answer)
        return answer

    async def _asked(self, token: str) -> Identified | None:
        """The user, or None if the backend does not know the token. Raises IdentityUnavailable."""
        if not _fits_header(token):
            return None
        headers = {"Authorization": f"Bearer {token}", "Accept": "application/json"}
        try:
            reply = await self._http.send("GET", self._url, headers)
        except NoAnswer as error:
            raise IdentityUnavailable(f"introspection: {error}") from error
        if reply.status >= 500 or reply.status in (408, 425, 429):
            raise IdentityUnavailable(f"introspection answers {reply.status}")
        if reply.status != 200:  # also a redirect, which would show the token to somebody else
            return None
        try:
            return identified_at(json_in(reply.body), self._user_at, self._name_at)
        except (ValueError, RecursionError):
            return None


def _fits_header(token: str) -> bool:
    return token.isascii() and token.isprintable()


def provider(settings: IdentitySettings) -> Provider:
    def owns(said: Unverified | None) -> bool:
        return said is None

    assert settings.introspection_url  # noqa: S101 - the settings are checked
    assert settings.introspection_user  # noqa: S101
    http = Http(_TIMEOUT_SECONDS)
    identity = IntrospectionIdentity(
        http,
        settings.introspection_url,
        settings.introspection_user,
        settings.introspection_name,
    )
    return Provider(identity, owns)
