"""Google's metadata server and AWS's STS, as unmodified clients see them."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import jwt
import pytest
from botocore import UNSIGNED
from botocore.config import Config
from botocore.exceptions import ClientError

from infra.emulators.apigateway import AccessKeys
from infra.emulators.aws import AwsCredentials, Trust
from tests.emulators.apigateway.support import (
    Backend,
    boto,
    connected,
    management_client,
    post,
    running_gateway,
)

TRUST = Trust()
IDENTITY = "/computeMetadata/v1/instance/service-accounts/default/identity"
FLAVOR = {"Metadata-Flavor": "Google"}


@pytest.fixture(scope="module")
async def aws() -> AsyncIterator[AwsCredentials]:
    async with AwsCredentials(AccessKeys()) as aws:
        yield aws


async def metadata(
    aws: AwsCredentials, path: str = IDENTITY, headers: dict[str, str] | None = None, **query: str
) -> httpx.Response:
    async with httpx.AsyncClient(trust_env=False) as http:
        url = f"http://{aws.metadata_host}{path}"
        return await http.get(url, params=query, headers=FLAVOR if headers is None else headers)


async def id_token(aws: AwsCredentials, audience: str = TRUST.audience) -> str:
    return (await metadata(aws, audience=audience, format="full")).text


async def assume(aws: AwsCredentials, token: str, **changes: Any) -> Any:
    """AssumeRoleWithWebIdentity by an unmodified boto3 client."""
    sts = boto().client(
        "sts",
        endpoint_url=aws.sts_url,
        region_name="us-east-1",
        config=Config(signature_version=UNSIGNED, retries={"total_max_attempts": 1}, proxies={}),
    )
    arguments = {
        "RoleArn": TRUST.role_arn,
        "RoleSessionName": "unring-gateway",
        "WebIdentityToken": token,
    }
    return await asyncio.to_thread(sts.assume_role_with_web_identity, **(arguments | changes))


async def refusal(aws: AwsCredentials, token: str, **changes: Any) -> tuple[int, str]:
    with pytest.raises(ClientError) as refused:
        await assume(aws, token, **changes)
    response = refused.value.response
    return response["ResponseMetadata"]["HTTPStatusCode"], response["Error"]["Code"]


async def test_the_metadata_server_answers_an_id_token(aws: AwsCredentials) -> None:
    answer = await metadata(aws, audience="https://for.example", format="full")
    assert answer.status_code == 200
    assert answer.headers["metadata-flavor"] == "Google"
    claims = jwt.decode(answer.text, options={"verify_signature": False})
    assert claims["aud"] == "https://for.example"
    assert claims["azp"] == claims["sub"] == TRUST.service_account_id
    assert claims["email"] == TRUST.service_account_email
    assert claims["iss"] == "https://accounts.google.com"
    assert claims["exp"] - claims["iat"] == 3600


async def test_without_format_full_the_token_has_no_email(aws: AwsCredentials) -> None:
    answer = await metadata(aws, audience="x")
    assert "email" not in jwt.decode(answer.text, options={"verify_signature": False})


async def test_the_metadata_server_wants_its_header(aws: AwsCredentials) -> None:
    for headers in ({}, {"Metadata-Flavor": "other"}):
        answer = await metadata(aws, audience="x", headers=headers)
        assert answer.status_code == 403


async def test_the_metadata_server_wants_an_audience(aws: AwsCredentials) -> None:
    assert (await metadata(aws)).status_code == 400


async def test_another_metadata_path_is_not_found(aws: AwsCredentials) -> None:
    assert (await metadata(aws, "/computeMetadata/v1/project/project-id")).status_code == 404
    assert (await metadata(aws, "/elsewhere")).status_code == 404


async def test_an_id_token_becomes_credentials(aws: AwsCredentials) -> None:
    before = datetime.now(UTC)
    answer = await assume(aws, await id_token(aws), DurationSeconds=900)
    credentials = answer["Credentials"]
    assert credentials["AccessKeyId"].startswith("ASIA")
    assert len(credentials["AccessKeyId"]) == 20
    assert credentials["SecretAccessKey"]
    assert credentials["SessionToken"]
    lifetime = credentials["Expiration"] - before
    assert timedelta(seconds=890) < lifetime < timedelta(seconds=960)
    assert answer["Provider"] == "accounts.google.com"
    assert answer["SubjectFromWebIdentityToken"] == TRUST.service_account_id
    assert answer["AssumedRoleUser"]["Arn"].endswith(":assumed-role/function/unring-gateway")


async def test_every_call_issues_another_key(aws: AwsCredentials) -> None:
    token = await id_token(aws)
    keys = [(await assume(aws, token))["Credentials"]["AccessKeyId"] for _ in range(2)]
    assert keys[0] != keys[1]


async def test_the_query_of_a_get_works_as_the_form_of_a_post(aws: AwsCredentials) -> None:
    query = {
        "Action": "AssumeRoleWithWebIdentity",
        "Version": "2011-06-15",
        "RoleArn": TRUST.role_arn,
        "RoleSessionName": "by-get",
        "WebIdentityToken": await id_token(aws),
    }
    async with httpx.AsyncClient(trust_env=False) as http:
        answer = await http.get(aws.sts_url + "/", params=query)
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "text/xml"
    assert "<AccessKeyId>ASIA" in answer.text


async def test_a_token_for_another_audience_is_refused(aws: AwsCredentials) -> None:
    token = await id_token(aws, "another")
    assert await refusal(aws, token) == (400, "InvalidIdentityToken")


async def test_an_expired_id_token_is_refused() -> None:
    async with AwsCredentials(AccessKeys(), Trust(id_token_seconds=0)) as aws:
        assert await refusal(aws, await id_token(aws)) == (400, "ExpiredTokenException")


async def test_a_forged_or_malformed_token_is_refused(aws: AwsCredentials) -> None:
    claims = jwt.decode(await id_token(aws), options={"verify_signature": False})
    forged = jwt.encode(claims, "x" * 32, algorithm="HS256")
    unsigned = jwt.encode(claims, "", algorithm="none")
    async with AwsCredentials(AccessKeys()) as other:
        of_another_issuer = await id_token(other)
    for token in (forged, unsigned, of_another_issuer, "not.a.token", "nonsense"):
        assert await refusal(aws, token) == (400, "InvalidIdentityToken")


async def test_another_role_is_denied(aws: AwsCredentials) -> None:
    role = "arn:aws:iam::123456789012:role/another"
    assert await refusal(aws, await id_token(aws), RoleArn=role) == (403, "AccessDenied")


@pytest.mark.parametrize(
    "changes",
    [
        {"RoleSessionName": "no spaces"},
        {"DurationSeconds": 3601},
    ],
)
async def test_parameters_out_of_bounds_are_refused(
    aws: AwsCredentials, changes: dict[str, Any]
) -> None:
    assert await refusal(aws, await id_token(aws), **changes) == (400, "ValidationError")


@pytest.mark.parametrize(
    ("form", "code"),
    [
        ({}, "InvalidAction"),
        ({"Action": "GetCallerIdentity", "Version": "2011-06-15"}, "InvalidAction"),
        ({"Action": "AssumeRoleWithWebIdentity", "Version": "2000-01-01"}, "InvalidAction"),
        ({"Action": "AssumeRoleWithWebIdentity", "Version": "2011-06-15"}, "ValidationError"),
    ],
)
async def test_what_sts_does_not_know_is_an_error_document(
    aws: AwsCredentials, form: dict[str, str], code: str
) -> None:
    async with httpx.AsyncClient(trust_env=False) as http:
        answer = await http.post(aws.sts_url + "/", data=form)
    assert answer.status_code == 400
    assert f"<Code>{code}</Code>" in answer.text


async def test_issued_credentials_open_connections_until_they_expire() -> None:
    keys = AccessKeys()
    async with (
        Backend().running() as backend,
        running_gateway(backend, credentials=keys) as gateway,
        connected(gateway, backend) as (client, connection_id),
    ):
        async with AwsCredentials(keys) as aws:
            valid = (await assume(aws, await id_token(aws)))["Credentials"]
        async with AwsCredentials(keys, Trust(session_seconds=0)) as aws:
            expired = (await assume(aws, await id_token(aws)))["Credentials"]

        await post(management_client(gateway, key_of(valid)), connection_id, b"from STS")
        assert await client.recv() == "from STS"

        for key, code in (
            (key_of(expired), "ExpiredTokenException"),
            ((valid["AccessKeyId"], "wrong", valid["SessionToken"]), "InvalidSignatureException"),
            ((*key_of(valid)[:2], None), "UnrecognizedClientException"),
        ):
            with pytest.raises(ClientError) as refused:
                await post(management_client(gateway, key), connection_id, b"x")
            assert refused.value.response["Error"]["Code"] == code


def key_of(credentials: dict[str, str]) -> tuple[str, str, str]:
    return credentials["AccessKeyId"], credentials["SecretAccessKey"], credentials["SessionToken"]
