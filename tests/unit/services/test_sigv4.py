"""Requests are signed as AWS's own library signs them."""

from datetime import UTC, datetime

import pytest
from botocore import auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import ReadOnlyCredentials

from functions.services.sigv4 import Keys, signed

KEYS = Keys("AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY", "token==")
NOW = datetime(2026, 11, 27, 9, 5, 7, tzinfo=UTC)
HOST = "https://abc123.execute-api.eu-central-1.amazonaws.com"
PATHS = (
    "/",
    "/prod/%40connections/VNRUSeldSwMCIRQ%3D",
    "/prod/%40connections/a%2Fb%2B~c-d_e.f%3D",
    "/prod/%40connections/d%C3%BC%20x",
)


@pytest.fixture(autouse=True)
def _time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(auth, "get_current_datetime", lambda: NOW)


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize(
    ("method", "body"), [("POST", b'{"event": "call:cancelled"}'), ("DELETE", b"")]
)
@pytest.mark.parametrize("base", [HOST, "http://127.0.0.1:8080"])
def test_a_signature_is_that_of_botocore(base: str, path: str, method: str, body: bytes) -> None:
    headers = {"Content-Type": "application/octet-stream", "X-Odd": " two  spaces "}
    theirs = AWSRequest(method, base + path, headers, data=body)
    keys = ReadOnlyCredentials(KEYS.access_key, KEYS.secret_key, KEYS.token)
    auth.SigV4Auth(keys, "execute-api", "eu-central-1").add_auth(theirs)
    ours = signed(
        method,
        base + path,
        headers,
        body,
        keys=KEYS,
        region="eu-central-1",
        service="execute-api",
        now=NOW,
    )
    assert ours.pop("Host") == base.partition("://")[2]
    assert ours == dict(theirs.headers.items())
