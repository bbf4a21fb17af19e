"""Google's access token, of one of firebase-admin's credentials, fetched beside the event loop."""

import asyncio
from collections.abc import Mapping
from functools import partial

from firebase_admin import credentials
from google.auth.credentials import Credentials
from google.auth.transport.requests import Request

_TIMEOUT_SECONDS = 5.0  # the library's own limit is 120 s, longer than any ring


class AccessToken:
    """The token by which a credential is known; one that is fetched is for all who wait for it."""

    def __init__(self, credential: credentials.Base) -> None:
        self._credential = credential
        self._request = partial(Request(), timeout=_TIMEOUT_SECONDS)
        self._loaded: Credentials | None = None
        self._renewal: asyncio.Task[Credentials] | None = None

    async def headers(self, refused: Mapping[str, str] | None = None) -> dict[str, str]:
        """What shows the token, and is not what was `refused`. Costs 1 request to Google if there
        is no such token that is valid, else nothing. Raises GoogleAuthError."""
        if self._loaded is None or not self._loaded.valid:
            return _shown_by(await self._renewed())
        shown = _shown_by(self._loaded)
        return _shown_by(await self._renewed()) if shown == refused else shown

    async def _renewed(self) -> Credentials:
        if self._renewal is None:
            self._renewal = asyncio.create_task(asyncio.to_thread(self._renew))
            self._renewal.add_done_callback(self._has_renewed)
        # Shielded: a message that is given up must not cancel the renewal for all others.
        return await asyncio.shield(self._renewal)

    def _has_renewed(self, renewal: asyncio.Task[Credentials]) -> None:
        self._renewal = None
        if not renewal.cancelled() and not renewal.exception():
            self._loaded = renewal.result()

    def _renew(self) -> Credentials:
        """Blocks while the library finds out who we are, and gets the token."""
        found: Credentials = self._credential.get_credential()
        found.refresh(self._request)  # type: ignore[no-untyped-call]
        return found


def _shown_by(credential: Credentials) -> dict[str, str]:
    headers: dict[str, str] = {}
    credential.apply(headers)  # type: ignore[no-untyped-call]
    return headers
