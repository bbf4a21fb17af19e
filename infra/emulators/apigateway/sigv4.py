"""Verification of AWS Signature Version 4, with botocore's own signer doing the arithmetic."""

import hashlib
import hmac
import re
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from infra.emulators.apigateway.http1 import Request

SERVICE = "execute-api"
_MAX_SKEW = timedelta(minutes=5)
_DATE_FORMAT = "%Y%m%dT%H%M%SZ"
_AUTHORIZATION = re.compile(
    r"AWS4-HMAC-SHA256 +Credential=(?P<key>[^/,\s]+)/\d{8}/(?P<region>[^/,\s]+)"
    r"/(?P<service>[^/,\s]+)/aws4_request, *SignedHeaders=(?P<headers>[^,\s]+)"
    r", *Signature=(?P<signature>[0-9a-f]{64})"
)

_WRONG_SIGNATURE = (
    "The request signature we calculated does not match the signature you provided. "
    "Check your AWS Secret Access Key and signing method."
)
_UNKNOWN_KEY = "The security token included in the request is invalid."


class SignatureError(Exception):
    """A request not signed as it must be, answered 403; `error_type` is AWS's name for why."""

    def __init__(self, error_type: str, message: str) -> None:
        super().__init__(message)
        self.error_type = error_type


@dataclass(frozen=True)
class AccessKey:
    """The secret of an access key id; the token and the expiry are those of temporary ones."""

    secret: str = field(repr=False)
    session_token: str | None = field(default=None, repr=False)
    expires_at: datetime | None = None


class AccessKeys:
    """The access keys that are accepted, by access key id."""

    def __init__(self) -> None:
        self._keys: dict[str, AccessKey] = {}

    def add(
        self,
        access_key_id: str,
        secret: str,
        session_token: str | None = None,
        expires_at: datetime | None = None,
    ) -> None:
        self._keys[access_key_id] = AccessKey(secret, session_token, expires_at)

    def get(self, access_key_id: str) -> AccessKey | None:
        return self._keys.get(access_key_id)

    def count(self) -> int:
        """How many there are, with those that have expired."""
        return len(self._keys)


def verify(request: Request, keys: AccessKeys, region: str, now: datetime) -> None:
    """Check that `request` is signed with one of `keys`.

    Raises SignatureError with the error type and message that API Gateway answers.
    """
    authorization = request.header("authorization")
    if authorization is None:
        raise SignatureError("MissingAuthenticationTokenException", "Missing Authentication Token")
    claim = _AUTHORIZATION.fullmatch(authorization)
    if claim is None:
        raise SignatureError(
            "IncompleteSignatureException", "Authorization header is not a complete SigV4 one."
        )
    key = _known_key(request, keys, claim["key"], now)
    _check_scope(claim, region)
    timestamp = _check_date(request, now)
    signed = _signed_headers(request, claim["headers"])
    _check_payload(request)

    credentials = Credentials(claim["key"], key.secret, key.session_token)
    signer = SigV4Auth(credentials, SERVICE, region)
    # As it came, percent-encoding and all: the signature is over exactly that.
    url = f"http://{request.header('host')}{request.target}"
    signing = AWSRequest(request.method, url, data=request.body, headers=signed)
    signing.context["timestamp"] = timestamp
    text = signer.string_to_sign(signing, signer.canonical_request(signing))
    if not hmac.compare_digest(signer.signature(text, signing), claim["signature"]):
        raise SignatureError("InvalidSignatureException", _WRONG_SIGNATURE)


def _known_key(request: Request, keys: AccessKeys, key_id: str, now: datetime) -> AccessKey:
    key = keys.get(key_id)
    token = request.header("x-amz-security-token")
    if key is None or (token or "") != (key.session_token or ""):
        raise SignatureError("UnrecognizedClientException", _UNKNOWN_KEY)
    if key.expires_at is not None and now >= key.expires_at:
        raise SignatureError(
            "ExpiredTokenException", "The security token included in the request is expired"
        )
    return key


def _check_scope(claim: re.Match[str], region: str) -> None:
    if claim["service"] != SERVICE:
        raise SignatureError(
            "InvalidSignatureException",
            f"Credential should be scoped to correct service: '{SERVICE}'.",
        )
    if claim["region"] != region:
        raise SignatureError(
            "InvalidSignatureException", "Credential should be scoped to a valid region."
        )


def _check_date(request: Request, now: datetime) -> str:
    timestamp = request.header("x-amz-date") or ""
    try:
        signed_at = datetime.strptime(timestamp, _DATE_FORMAT).replace(tzinfo=UTC)
    except ValueError as error:
        raise SignatureError(
            "IncompleteSignatureException", "X-Amz-Date must be in ISO-8601 'basic format'."
        ) from error
    if abs(now - signed_at) > _MAX_SKEW:
        raise SignatureError(
            "InvalidSignatureException",
            f"Signature expired or not yet current: {timestamp}, now {now:{_DATE_FORMAT}}.",
        )
    return timestamp


def _signed_headers(request: Request, names: str) -> dict[str, str]:
    signed = names.split(";")
    required = {"host", "x-amz-date"}
    # Whatever else of AWS's own a request carries must be under the signature, too.
    required |= {name.lower() for name, _ in request.headers if name.lower().startswith("x-amz-")}
    values = {name: ",".join(request.header_values(name)) for name in signed}
    if not required <= values.keys() or not all(request.header_values(name) for name in signed):
        raise SignatureError("InvalidSignatureException", _WRONG_SIGNATURE)
    return values


def _check_payload(request: Request) -> None:
    # The signer trusts this header for the canonical request, so it has to tell the truth.
    claimed = request.header("x-amz-content-sha256")
    if claimed is not None and claimed != hashlib.sha256(request.body).hexdigest():
        raise SignatureError("InvalidSignatureException", _WRONG_SIGNATURE)
