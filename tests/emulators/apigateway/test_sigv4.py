"""Signatures on @connections: which keys open it, and what each wrong one is told."""

import asyncio
import hashlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote

import httpx
import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from botocore.exceptions import ClientError

from infra.emulators.apigateway import AccessKeys, ApiGateway, Options
from tests.emulators.apigateway.support import (
    Backend,
    connected,
    management_client,
    post,
    running_gateway,
)

LONG_TERM = ("AKIALONGTERM", "the secret", None)
TEMPORARY = ("ASIATEMPORARY", "another secret", "the token")
EXPIRED = ("ASIAEXPIRED", "old secret", "old token")


@pytest.fixture(scope="module")
async def backend() -> AsyncIterator[Backend]:
    async with Backend().running() as backend:
        yield backend


@pytest.fixture(scope="module")
async def gateway(backend: Backend) -> AsyncIterator[ApiGateway]:
    keys = AccessKeys()
    keys.add(*LONG_TERM)
    keys.add(*TEMPORARY, expires_at=datetime.now(UTC) + timedelta(hours=1))
    keys.add(*EXPIRED, expires_at=datetime.now(UTC))
    options = Options(region="eu-west-3")
    async with running_gateway(backend, options, credentials=keys) as gateway:
        yield gateway


@dataclass(frozen=True)
class Signing:
    """How a request is signed; the defaults are right."""

    key: tuple[str, str, str | None] = TEMPORARY
    region: str = "eu-west-3"
    service: str = "execute-api"
    age: timedelta = timedelta()
    signed_body: bytes = b"{}"
    unsigned_token: bool = False
    claimed_hash: str | None = None

    def headers(self, url: str) -> dict[str, str]:
        signer = SigV4Auth(Credentials(*self.key), self.service, self.region)
        at = (datetime.now(UTC) - self.age).strftime("%Y%m%dT%H%M%SZ")
        headers = {"X-Amz-Date": at}
        if self.claimed_hash is not None:
            headers["X-Amz-Content-Sha256"] = self.claimed_hash
        if self.key[2] and not self.unsigned_token:
            headers["X-Amz-Security-Token"] = self.key[2]
        request = AWSRequest("POST", url, data=self.signed_body, headers=headers)
        request.context["timestamp"] = at
        text = signer.string_to_sign(request, signer.canonical_request(request))
        signed = signer.signed_headers(signer.headers_to_sign(request))
        headers["Authorization"] = (
            f"AWS4-HMAC-SHA256 Credential={signer.scope(request)}, SignedHeaders={signed}, "
            f"Signature={signer.signature(text, request)}"
        )
        if self.key[2]:
            headers["X-Amz-Security-Token"] = self.key[2]
        return headers


async def answer_to(
    gateway: ApiGateway, backend: Backend, headers: dict[str, str] | Signing
) -> tuple[int, str | None]:
    """Status and error type of a POST of `{}` with these headers."""
    async with (
        connected(gateway, backend) as (_, connection_id),
        httpx.AsyncClient(trust_env=False) as http,
    ):
        url = f"{gateway.connections_url}/{quote(connection_id)}"
        if isinstance(headers, Signing):
            headers = headers.headers(url)
        answer = await http.post(url, content=b"{}", headers=headers)
    return answer.status_code, answer.headers.get("x-amzn-errortype")


@pytest.mark.parametrize("key", [LONG_TERM, TEMPORARY])
async def test_an_unmodified_boto3_client_with_a_known_key_passes(
    gateway: ApiGateway, backend: Backend, key: tuple[str, str, str | None]
) -> None:
    boto = management_client(gateway, key, region="eu-west-3")
    async with connected(gateway, backend) as (client, connection_id):
        await post(boto, connection_id, b"signed")
        assert await client.recv() == "signed"
        described = await asyncio.to_thread(boto.get_connection, ConnectionId=connection_id)
        assert described["Identity"]["SourceIp"] == "127.0.0.1"
        await asyncio.to_thread(boto.delete_connection, ConnectionId=connection_id)


@pytest.mark.parametrize(
    ("key", "region", "error_type"),
    [
        ((LONG_TERM[0], "a wrong secret", None), "eu-west-3", "InvalidSignatureException"),
        (LONG_TERM, "us-east-1", "InvalidSignatureException"),
        (("AKIAUNKNOWN", "the secret", None), "eu-west-3", "UnrecognizedClientException"),
        ((*TEMPORARY[:2], "a wrong token"), "eu-west-3", "UnrecognizedClientException"),
        ((*TEMPORARY[:2], None), "eu-west-3", "UnrecognizedClientException"),
        ((*LONG_TERM[:2], "a token"), "eu-west-3", "UnrecognizedClientException"),
        (EXPIRED, "eu-west-3", "ExpiredTokenException"),
    ],
)
async def test_a_boto3_client_with_a_wrong_key_is_refused(
    gateway: ApiGateway, backend: Backend, key: Any, region: str, error_type: str
) -> None:
    boto = management_client(gateway, key, region=region)
    async with connected(gateway, backend) as (_, connection_id):
        with pytest.raises(ClientError) as refused:
            await post(boto, connection_id, b"x")
    response = refused.value.response
    assert response["ResponseMetadata"]["HTTPStatusCode"] == 403
    assert response["Error"]["Code"] == error_type


async def test_what_is_signed_right_by_hand_passes(gateway: ApiGateway, backend: Backend) -> None:
    assert await answer_to(gateway, backend, Signing()) == (200, None)
    recent = Signing(age=timedelta(minutes=4))
    assert await answer_to(gateway, backend, recent) == (200, None)


@pytest.mark.parametrize(
    "signing",
    [
        Signing(age=timedelta(minutes=6)),
        Signing(age=timedelta(minutes=-6)),
        Signing(service="s3"),
        Signing(signed_body=b"{ }"),
        Signing(unsigned_token=True),
        Signing(claimed_hash="UNSIGNED-PAYLOAD"),
        Signing(claimed_hash=hashlib.sha256(b"another").hexdigest()),
    ],
    ids=[
        "too old",
        "from the future",
        "another service",
        "another body",
        "token not signed",
        "body not signed",
        "hash of another body",
    ],
)
async def test_what_is_signed_wrong_is_refused(
    gateway: ApiGateway, backend: Backend, signing: Signing
) -> None:
    assert await answer_to(gateway, backend, signing) == (403, "InvalidSignatureException")


async def test_a_signature_of_another_connection_is_refused(
    gateway: ApiGateway, backend: Backend
) -> None:
    headers = Signing().headers(f"{gateway.connections_url}/{quote('VNRUSeldSwMCIRQ=')}")
    assert await answer_to(gateway, backend, headers) == (403, "InvalidSignatureException")


async def test_a_true_content_hash_passes(gateway: ApiGateway, backend: Backend) -> None:
    signing = Signing(claimed_hash=hashlib.sha256(b"{}").hexdigest())
    assert await answer_to(gateway, backend, signing) == (200, None)


async def test_a_wrong_region_is_named_as_such(gateway: ApiGateway, backend: Backend) -> None:
    boto = management_client(gateway, LONG_TERM, region="us-east-1")
    with pytest.raises(ClientError, match="scoped to a valid region"):
        await post(boto, "VNRUSeldSwMCIRQ=", b"x")


@pytest.mark.parametrize(
    ("headers", "error_type"),
    [
        ({}, "MissingAuthenticationTokenException"),
        ({"Authorization": "Bearer T"}, "IncompleteSignatureException"),
        ({"Authorization": "AWS4-HMAC-SHA256 Credential=x"}, "IncompleteSignatureException"),
    ],
)
async def test_what_is_not_signed_is_refused(
    gateway: ApiGateway, backend: Backend, headers: dict[str, str], error_type: str
) -> None:
    assert await answer_to(gateway, backend, headers) == (403, error_type)


async def test_a_signature_without_its_date_is_refused(
    gateway: ApiGateway, backend: Backend
) -> None:
    headers = Signing().headers(f"{gateway.connections_url}/x")
    del headers["X-Amz-Date"]
    assert await answer_to(gateway, backend, headers) == (403, "IncompleteSignatureException")


async def test_without_credentials_nothing_is_checked(backend: Backend) -> None:
    async with running_gateway(backend) as gateway:
        assert await answer_to(gateway, backend, {}) == (200, None)


async def test_sockets_need_no_signature(gateway: ApiGateway, backend: Backend) -> None:
    async with connected(gateway, backend) as (client, _):
        await client.send("unsigned")
        assert await client.recv() == "unsigned"


def test_a_secret_is_not_shown() -> None:
    keys = AccessKeys()
    keys.add(*TEMPORARY)
    assert "secret" not in repr(keys.get(TEMPORARY[0])).replace("secret=", "")
