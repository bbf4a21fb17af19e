"""Temporary AWS credentials without a stored key: STS gives them for an ID token of Google's.

https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRoleWithWebIdentity.html
"""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from urllib.parse import urlencode
from xml.etree import ElementTree

from functions.services.http import Http, NoAnswer
from functions.services.sigv4 import Keys
from functions.telemetry import Log

_METADATA_HOST = "metadata.google.internal"
_IDENTITY_PATH = "/computeMetadata/v1/instance/service-accounts/default/identity"
_FORM = {"Content-Type": "application/x-www-form-urlencoded"}
_STS = {"sts": "https://sts.amazonaws.com/doc/2011-06-15/"}
_REFRESH_BEFORE = timedelta(minutes=5)

log = Log(__name__)


class CredentialsUnavailable(Exception):
    """The metadata server or STS gave us nothing to sign with."""


@dataclass(frozen=True, slots=True)
class _Issued:
    keys: Keys
    expires: datetime


class RoleCredentials:
    """The credentials of one role, fetched when first needed and renewed before they expire."""

    def __init__(
        self,
        http: Http,
        *,
        role_arn: str,
        region: str,
        audience: str,
        sts_url: str | None = None,
        metadata_host: str | None = None,
    ) -> None:
        self._http = http
        self._role_arn = role_arn
        self._audience = audience
        self._sts_url = sts_url or f"https://sts.{region}.amazonaws.com"
        self._identity_url = f"http://{metadata_host or _METADATA_HOST}{_IDENTITY_PATH}"
        self._issued: _Issued | None = None
        self._renewal: asyncio.Task[_Issued] | None = None

    async def get(self) -> Keys:
        """Credentials that are valid now. Costs 2 remote calls if there are none, else nothing.

        Credentials that are about to expire are renewed in the background, and this call does not
        wait for it. Raises CredentialsUnavailable.
        """
        issued, now = self._issued, datetime.now(UTC)
        if issued and now < issued.expires - _REFRESH_BEFORE:
            return issued.keys
        if self._renewal is None:
            self._renewal = asyncio.create_task(self._renew())
            self._renewal.add_done_callback(self._renewed)
        if issued and now < issued.expires:
            return issued.keys
        # Shielded: a request that is given up must not cancel the renewal for all others.
        return (await asyncio.shield(self._renewal)).keys

    def _renewed(self, renewal: asyncio.Task[_Issued]) -> None:
        self._renewal = None
        if renewal.cancelled():
            return
        if error := renewal.exception():
            log.error("no AWS credentials", error=str(error))
        else:
            self._issued = renewal.result()

    async def _renew(self) -> _Issued:
        """1 GET from the metadata server and 1 POST to STS. Raises CredentialsUnavailable."""
        query = urlencode({"audience": self._audience, "format": "full"})
        try:
            token = await self._ask(
                "GET", f"{self._identity_url}?{query}", {"Metadata-Flavor": "Google"}
            )
            form = {
                "Action": "AssumeRoleWithWebIdentity",
                "Version": "2011-06-15",
                "RoleArn": self._role_arn,
                "RoleSessionName": "unring",
                "WebIdentityToken": token.strip(),
            }
            return _read(await self._ask("POST", self._sts_url, _FORM, urlencode(form).encode()))
        except (NoAnswer, ElementTree.ParseError, ValueError) as error:
            raise CredentialsUnavailable(f"{type(error).__name__}: {error}") from error

    async def _ask(
        self, method: str, url: str, headers: Mapping[str, str], body: bytes = b""
    ) -> str:
        answer = await self._http.send(method, url, headers, body)
        if answer.status != HTTPStatus.OK:
            raise CredentialsUnavailable(f"{url.partition('?')[0]}: {answer.status}")
        return answer.body.decode()


def _read(response: str) -> _Issued:
    # STS is asked over TLS, so nobody else can have written this XML.
    credentials = ElementTree.fromstring(response).find(".//sts:Credentials", _STS)  # noqa: S314
    if credentials is None:
        raise ValueError("STS answered without credentials")

    def text(name: str) -> str:
        return credentials.findtext(f"sts:{name}", default="", namespaces=_STS)

    keys = Keys(text("AccessKeyId"), text("SecretAccessKey"), text("SessionToken"))
    return _Issued(keys, datetime.fromisoformat(text("Expiration")))
