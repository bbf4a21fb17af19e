"""Keyless AWS credentials on one local port: Google's metadata server, and STS that trusts it.

GET /computeMetadata/v1/instance/service-accounts/default/identity answers the service account's ID
token; AssumeRoleWithWebIdentity turns it into access keys that the API Gateway beside it accepts.
"""

import re
import secrets
import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from typing import Any
from urllib.parse import parse_qs
from xml.etree.ElementTree import Element, SubElement, tostring

import jwt
from starlette.requests import Request
from starlette.responses import Response

from infra.emulators.apigateway.sigv4 import AccessKeys
from infra.emulators.http import Served

_IDENTITY_PATH = "/computeMetadata/v1/instance/service-accounts/default/identity"
_ISSUER = "https://accounts.google.com"
_PROVIDER = "accounts.google.com"
_XML_NAMESPACE = "https://sts.amazonaws.com/doc/2011-06-15/"
_API_VERSION = "2011-06-15"
_ACTION = "AssumeRoleWithWebIdentity"
_SESSION_NAME = re.compile(r"[\w+=,.@-]{2,64}", re.ASCII)
_BASE32 = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"
# The bounds of DurationSeconds for a role whose maximum session duration was left alone.
_MIN_SESSION_SECONDS = 900
_MAX_SESSION_SECONDS = 3600


@dataclass(frozen=True)
class Trust:
    """The role, and the token its trust policy asks for.

    `service_account_id` is the numeric unique id: the token's `azp` and `sub`. `audience` is what
    the token must have been requested for. `session_seconds` overrides the lifetime that a caller
    asks of STS, so that a test can have credentials expire; `id_token_seconds` may be 0 or less.
    """

    role_arn: str = "arn:aws:iam::123456789012:role/function"
    audience: str = "local"
    service_account_id: str = "101234567890123456789"
    service_account_email: str = "function@local.iam.gserviceaccount.com"
    id_token_seconds: float = 3600.0
    session_seconds: float | None = None


class StsError(Exception):
    """What STS answers instead of credentials."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.code = code


@dataclass(frozen=True)
class IssuedKey:
    """A temporary access key as STS hands it out."""

    access_key_id: str
    secret: str
    session_token: str
    expires_at: datetime


class AwsCredentials(Served):
    """Both services; every access key that is issued is added to `keys`."""

    def __init__(self, keys: AccessKeys, trust: Trust = Trust()) -> None:
        self._keys = keys
        self._trust = trust
        self._signing_key = secrets.token_bytes(32)
        super().__init__()

    @property
    def port(self) -> int:
        return int(self._origin.rpartition(":")[2])

    @property
    def metadata_host(self) -> str:
        """As GCE_METADATA_HOST has it: host and port, no scheme."""
        return self._origin.removeprefix("http://")

    @property
    def sts_url(self) -> str:
        return self._origin

    async def _answer(self, request: Request) -> Response:
        path = request.url.path
        if path.startswith("/computeMetadata/"):
            return self._metadata(request)
        if path == "/" and request.method == "GET":
            return self._sts(request.url.query)
        if path == "/" and request.method == "POST":
            return self._sts((await request.body()).decode("latin-1"))
        return Response(status_code=HTTPStatus.NOT_FOUND)

    def _metadata(self, request: Request) -> Response:
        if request.headers.get("metadata-flavor") != "Google":
            return _metadata_text(HTTPStatus.FORBIDDEN, "Missing Metadata-Flavor:Google header.")
        if request.url.path != _IDENTITY_PATH or request.method != "GET":
            return _metadata_text(HTTPStatus.NOT_FOUND, "Not Found")
        query = request.query_params
        if not query.get("audience"):
            return _metadata_text(HTTPStatus.BAD_REQUEST, "non-empty audience parameter required")
        full = query.get("format") == "full"
        return _metadata_text(HTTPStatus.OK, self._id_token(query["audience"], full))

    def _id_token(self, audience: str, full: bool) -> str:
        now = int(time.time())
        claims = {
            "iss": _ISSUER,
            "aud": audience,
            "azp": self._trust.service_account_id,
            "sub": self._trust.service_account_id,
            "iat": now,
            "exp": now + int(self._trust.id_token_seconds),
        }
        if full:
            claims |= {"email": self._trust.service_account_email, "email_verified": True}
        # Google signs with RS256; only this very server has to verify it, so HS256 will do.
        return jwt.encode(claims, self._signing_key, algorithm="HS256")

    def _sts(self, form: str) -> Response:
        parameters = {name: values[-1] for name, values in parse_qs(form).items()}
        try:
            claims = self._check(parameters)
        except StsError as error:
            return _xml(error.status, _error_document(error))
        key = self._issue(float(parameters.get("DurationSeconds") or _MAX_SESSION_SECONDS))
        session_name = parameters["RoleSessionName"]
        return _xml(HTTPStatus.OK, _credentials_document(key, claims, self._trust, session_name))

    def _check(self, parameters: dict[str, str]) -> dict[str, Any]:
        """The token's claims. Raises StsError if anything about the request is wrong."""
        if parameters.get("Action") != _ACTION or parameters.get("Version") != _API_VERSION:
            raise StsError(400, "InvalidAction", "Could not find operation for this version.")
        for name in ("RoleArn", "RoleSessionName", "WebIdentityToken"):
            if not parameters.get(name):
                raise _invalid(f"Value at '{name}' failed to satisfy constraint: must not be null")
        if not _SESSION_NAME.fullmatch(parameters["RoleSessionName"]):
            raise _invalid("Value at 'roleSessionName' failed to satisfy constraint")
        _check_duration(parameters.get("DurationSeconds") or str(_MAX_SESSION_SECONDS))
        claims = self._verified_claims(parameters["WebIdentityToken"])
        subject = self._trust.service_account_id
        if (
            parameters["RoleArn"] != self._trust.role_arn
            or claims["azp"] != subject
            or claims["sub"] != subject
        ):
            raise StsError(403, "AccessDenied", f"Not authorized to perform sts:{_ACTION}")
        return claims

    def _verified_claims(self, token: str) -> dict[str, Any]:
        try:
            claims: dict[str, Any] = jwt.decode(
                token,
                self._signing_key,
                algorithms=["HS256"],
                audience=self._trust.audience,
                issuer=_ISSUER,
                options={"require": ["aud", "azp", "exp", "iat", "iss", "sub"]},
            )
        except jwt.ExpiredSignatureError as error:
            raise StsError(400, "ExpiredTokenException", "Token expired") from error
        except jwt.InvalidAudienceError as error:
            raise StsError(400, "InvalidIdentityToken", "Incorrect token audience") from error
        except jwt.InvalidTokenError as error:
            message = "The ID Token provided is not a valid JWT."
            raise StsError(400, "InvalidIdentityToken", message) from error
        return claims

    def _issue(self, seconds_asked: float) -> IssuedKey:
        override = self._trust.session_seconds
        seconds = seconds_asked if override is None else override
        key = IssuedKey(
            access_key_id="ASIA" + "".join(secrets.choice(_BASE32) for _ in range(16)),
            secret=secrets.token_urlsafe(30),
            session_token=secrets.token_urlsafe(200),
            expires_at=datetime.now(UTC) + timedelta(seconds=seconds),
        )
        self._keys.add(key.access_key_id, key.secret, key.session_token, key.expires_at)
        return key


def _check_duration(seconds: str) -> None:
    if not seconds.isdecimal() or int(seconds) < _MIN_SESSION_SECONDS:
        raise _invalid(f"Value '{seconds}' at 'durationSeconds' failed to satisfy constraint")
    if int(seconds) > _MAX_SESSION_SECONDS:
        raise _invalid(
            "The requested DurationSeconds exceeds the MaxSessionDuration set for this role."
        )


def _invalid(message: str) -> StsError:
    return StsError(400, "ValidationError", message)


def _metadata_text(status: int, text: str) -> Response:
    headers = {"Metadata-Flavor": "Google", "Content-Type": "text/html"}
    return Response(text, status, headers)


def _credentials_document(
    key: IssuedKey, claims: dict[str, Any], trust: Trust, session_name: str
) -> Element:
    root = Element(f"{_ACTION}Response", xmlns=_XML_NAMESPACE)
    result = SubElement(root, f"{_ACTION}Result")
    _add(result, SubjectFromWebIdentityToken=claims["sub"], Audience=claims["azp"])
    assumed = trust.role_arn.replace(":iam:", ":sts:").replace(":role/", ":assumed-role/")
    user = SubElement(result, "AssumedRoleUser")
    role_id = "AROA" + key.access_key_id[4:]
    _add(user, Arn=f"{assumed}/{session_name}", AssumedRoleId=f"{role_id}:{session_name}")
    _add(
        SubElement(result, "Credentials"),
        AccessKeyId=key.access_key_id,
        SecretAccessKey=key.secret,
        SessionToken=key.session_token,
        Expiration=f"{key.expires_at:%Y-%m-%dT%H:%M:%SZ}",
    )
    _add(result, Provider=_PROVIDER)
    _add(SubElement(root, "ResponseMetadata"), RequestId=secrets.token_hex(16))
    return root


def _error_document(error: StsError) -> Element:
    root = Element("ErrorResponse", xmlns=_XML_NAMESPACE)
    _add(SubElement(root, "Error"), Type="Sender", Code=error.code, Message=str(error))
    _add(root, RequestId=secrets.token_hex(16))
    return root


def _add(parent: Element, **texts: str) -> None:
    for name, text in texts.items():
        SubElement(parent, name).text = text


def _xml(status: int, document: Element) -> Response:
    return Response(tostring(document), status, {"Content-Type": "text/xml"})
