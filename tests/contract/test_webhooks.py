"""Webhooks to real sockets: signed, and sent to nobody but public addresses."""

import asyncio
import socket
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from typing import Any

import pytest
from aiohttp.abc import AbstractResolver, ResolveResult
from standardwebhooks import Webhook, WebhookVerificationError

from functions.addresses import Address, is_public
from functions.ports.webhooks import NotTaken, Unwanted
from functions.services import webhooks
from functions.services.http import Http
from functions.services.webhooks import HttpWebhooks
from functions.settings import WebhookSettings
from infra.emulators.webhooks import WebhookReceiver
from tests.support.makers import now
from tests.support.pace import PATIENCE_SECONDS
from tests.support.processes import WEBHOOK_SECRET, settings_of
from tests.support.rawhttp import Answering, closing, raw_server, saying, silence

OTHER_SECRET = f"whsec_{'b' * 32}"
BODY = '{"type":"call.cancelled","data":{"reason":"ümläut \\u2028"}}'


def local(**changes: str) -> HttpWebhooks:
    return webhooks.connect(
        settings_of(WebhookSettings, WEBHOOK_PRIVATE_ADDRESSES="allowed", **changes)
    )


def unchecked(timeout_seconds: float = PATIENCE_SECONDS) -> HttpWebhooks:
    return HttpWebhooks(Http(timeout_seconds, only_status=True), [WEBHOOK_SECRET])


def answering(status: int, *headers: str) -> Answering:
    head = "\r\n".join([f"HTTP/1.1 {status} Said", "content-length: 0", *headers])
    return saying(f"{head}\r\n\r\n".encode())


async def test_a_webhook_is_signed_as_its_library_verifies_it() -> None:
    async with WebhookReceiver(WEBHOOK_SECRET) as backend:
        await local().post(f"{backend.url}/hook?a=%2F", "CALL_1:s", BODY, now())
        (taken,) = backend.taken
        assert (taken.path, taken.id, taken.type) == ("/hook", "CALL_1:s", "call.cancelled")


async def test_with_two_secrets_it_is_signed_by_both() -> None:
    hooks = local(WEBHOOK_SECRET=OTHER_SECRET, WEBHOOK_SECRET_PREVIOUS=WEBHOOK_SECRET)
    for known in (WEBHOOK_SECRET, OTHER_SECRET):
        async with WebhookReceiver(known) as backend:
            await hooks.post(backend.url, "1", BODY, now())
            assert len(backend.taken) == 1
    async with WebhookReceiver(f"whsec_{'c' * 32}") as stranger:
        with pytest.raises(NotTaken, match="401"):
            await hooks.post(stranger.url, "1", BODY, now())


async def test_the_signature_is_of_the_moment_at_which_it_is_sent() -> None:
    async with WebhookReceiver(WEBHOOK_SECRET) as backend:
        with pytest.raises(NotTaken):
            await local().post(backend.url, "1", BODY, now() - timedelta(minutes=6))
    signature = Webhook(WEBHOOK_SECRET).sign("1", datetime(2026, 1, 2, tzinfo=UTC), BODY)
    assert signature.startswith("v1,")
    with pytest.raises(WebhookVerificationError):
        Webhook(WEBHOOK_SECRET).verify(BODY, {"webhook-id": "1", "webhook-signature": signature})


@pytest.mark.parametrize("status", [200, 201, 202, 204, 299])
async def test_every_2xx_is_taken(status: int) -> None:
    async with raw_server(answering(status)) as server:
        await unchecked().post(server.url, "1", BODY, now())


@pytest.mark.parametrize("status", [300, 304, 400, 401, 403, 404, 408, 409, 429, 500, 503, 599])
async def test_any_other_answer_is_no_success(status: int) -> None:
    async with raw_server(answering(status)) as server:
        with pytest.raises(NotTaken) as refusal:
            await unchecked().post(server.url, "1", BODY, now())
    assert refusal.value.status == status


async def test_410_says_that_no_more_are_wanted() -> None:
    async with raw_server(answering(410)) as server:
        with pytest.raises(Unwanted):
            await unchecked().post(server.url, "1", BODY, now())


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_a_redirect_is_not_followed(status: int) -> None:
    async with raw_server(answering(204)) as elsewhere:
        moved = answering(status, f"location: {elsewhere.url}/")
        async with raw_server(moved) as server:
            with pytest.raises(NotTaken):
                await unchecked().post(server.url, "1", BODY, now())
        assert elsewhere.heads == []


@pytest.mark.parametrize("answer", [silence, closing(b""), saying(b"SSH-2.0\r\n")])
async def test_without_an_answer_in_time_it_was_not_taken(answer: Answering) -> None:
    async with raw_server(answer) as server:
        with pytest.raises(NotTaken) as failure:
            await unchecked(timeout_seconds=0.2).post(server.url, "1", BODY, now())
    assert failure.value.status is None


async def test_an_answer_without_end_is_not_read() -> None:
    async def endless(writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")
        while not writer.is_closing():
            writer.write(b"10000\r\n" + b"x" * 65536 + b"\r\n")
            await writer.drain()

    async with raw_server(endless) as server:
        await local().post(server.url, "1", BODY, now())
        await server.closed.wait()


async def test_no_proxy_of_the_environment_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    for name in ("http_proxy", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    async with raw_server(answering(204)) as server:
        await unchecked().post(server.url, "1", BODY, now())


# Where nothing may go


@pytest.mark.parametrize(
    "address",
    [
        *("127.0.0.1", "127.8.8.8", "0.0.0.0", "10.1.2.3", "172.16.0.1", "192.168.1.1"),  # noqa: S104 - asked about, not listened on
        *("169.254.169.254", "100.64.0.1", "192.0.2.1", "198.18.0.1", "203.0.113.9"),
        *("224.0.0.1", "239.1.1.1", "240.0.0.1", "255.255.255.255"),
        *("::", "::1", "fe80::1", "fe80::1%eth0", "fc00::1", "fd00:ec2::254", "ff02::1"),
        *("::ffff:127.0.0.1", "::ffff:169.254.169.254", "::ffff:a00:1", "::127.0.0.1"),
        *("64:ff9b::a00:1", "64:ff9b::169.254.169.254", "2002:7f00:1::", "2002:a9fe:a9fe::1"),
        *("2001:db8::1", "2001:0:a00:1::", "fec0::1"),
    ],
)
def test_no_other_dress_makes_a_private_address_public(address: str) -> None:
    assert not is_public(ip_address(address))


@pytest.mark.parametrize(
    "address", ["1.1.1.1", "93.184.216.34", "2606:4700::1111", "::ffff:1.1.1.1", "64:ff9b::101:101"]
)
def test_an_address_of_the_internet_is_public(address: str) -> None:
    assert is_public(ip_address(address))


class Played(AbstractResolver):
    """Leads every name to the next of these addresses, each time to another."""

    def __init__(self, *addresses: str) -> None:
        self._left = list(addresses)
        self.asked: list[str] = []

    async def resolve(
        self,
        host: str,
        port: int = 0,
        family: socket.AddressFamily = socket.AF_INET,  # noqa: ARG002 - the port has it
    ) -> list[ResolveResult]:
        self.asked.append(host)
        address = self._left.pop(0)
        kind = socket.AF_INET6 if ":" in address else socket.AF_INET
        return [
            ResolveResult(hostname=host, host=address, port=port, family=kind, proto=0, flags=0)
        ]

    async def close(self) -> None:
        """There is nothing to close."""


def resolved(resolver: Played, may: Callable[[Address], bool] | None = is_public) -> HttpWebhooks:
    http = Http(PATIENCE_SECONDS, only_status=True, may_connect_to=may, resolver=resolver)
    return HttpWebhooks(http, [WEBHOOK_SECRET])


@pytest.mark.parametrize("address", ["127.0.0.1", "::ffff:127.0.0.1"])
async def test_a_name_that_leads_to_this_machine_leads_nowhere(address: str) -> None:
    async with raw_server(answering(204)) as server:
        url = server.url.replace("127.0.0.1", "app.example")
        resolver = Played(address, "127.0.0.1")
        with pytest.raises(NotTaken, match="nothing is sent to"):
            await resolved(resolver).post(url, "1", BODY, now())
        assert (server.connections, resolver.asked) == (0, ["app.example"])
        await resolved(resolver, may=None).post(url, "1", BODY, now())  # if it were allowed
        assert server.connections == 1


async def test_each_connection_is_looked_at_whatever_the_name_led_to_before() -> None:
    looked_at: list[str] = []

    def first_only(address: Any) -> bool:
        looked_at.append(str(address))
        return len(looked_at) == 1

    hang_up = answering(204, "connection: close")
    async with raw_server(hang_up) as server:
        hooks = resolved(Played("127.0.0.1", "127.0.0.1"), first_only)
        url = server.url.replace("127.0.0.1", "app.example")
        await hooks.post(url, "1", BODY, now())
        with pytest.raises(NotTaken):
            await hooks.post(url, "2", BODY, now())
        assert (server.connections, looked_at) == (1, ["127.0.0.1"] * 2)


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "[::ffff:127.0.0.1]", "localhost", "2130706433", "0x7f.1", "127.1"]
)
async def test_a_url_with_a_private_address_leads_nowhere(host: str) -> None:
    async with raw_server(answering(204)) as server:
        url = server.url.replace("127.0.0.1", host)
        with pytest.raises(NotTaken):  # whoever let it through the settings
            await webhooks.connect(settings_of(WebhookSettings)).post(url, "1", BODY, now())
        assert server.connections == 0
