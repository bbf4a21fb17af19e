"""AWS Signature Version 4, of requests without a query.

https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html
"""

import hmac
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from urllib.parse import quote, urlsplit

_ALGORITHM = "AWS4-HMAC-SHA256"


@dataclass(frozen=True, slots=True)
class Keys:
    """Temporary credentials."""

    access_key: str
    secret_key: str
    token: str


def signed(
    method: str,
    url: str,
    headers: Mapping[str, str],
    body: bytes,
    *,
    keys: Keys,
    region: str,
    service: str,
    now: datetime,
) -> dict[str, str]:
    """The headers to send, and those that sign them; `url` is as it is sent, and `now` in UTC."""
    parts, moment = urlsplit(url), f"{now:%Y%m%dT%H%M%SZ}"
    sent = {
        **headers,
        "Host": parts.netloc,
        "X-Amz-Date": moment,
        "X-Amz-Security-Token": keys.token,
    }
    named = sorted((name.lower(), " ".join(value.split())) for name, value in sent.items())
    names = ";".join(name for name, _ in named)
    canonical = [
        *(method, quote(parts.path, safe="/~"), ""),  # what is percent-encoded, once more
        *(f"{name}:{value}" for name, value in named),
        *("", names, sha256(body).hexdigest()),
    ]
    scope = f"{moment[:8]}/{region}/{service}/aws4_request"
    text = "\n".join([_ALGORITHM, moment, scope, sha256("\n".join(canonical).encode()).hexdigest()])
    signature = hmac.digest(_key(keys.secret_key, scope), text.encode(), "sha256").hex()
    credential = f"Credential={keys.access_key}/{scope}"
    signing = f"{_ALGORITHM} {credential}, SignedHeaders={names}, Signature={signature}"
    return {**sent, "Authorization": signing}


def _key(secret: str, scope: str) -> bytes:
    """The key of one day, region and service."""
    key = f"AWS4{secret}".encode()
    for part in scope.split("/"):
        key = hmac.digest(key, part.encode(), "sha256")
    return key
