"""Our recipe of nginx for one host: where a request goes, and to whom alone."""

import re
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest

from tests.support.nameserver import name_server
from tests.support.nginx import RECIPE, nginx, recipe
from tests.support.pace import PATIENCE_SECONDS
from tests.support.pages import section
from tests.support.rawhttp import RawServer, raw_server, resetting, saying
from tests.support.tls import Authority

DONE = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
TRUSTED = "/etc/ssl/certs/ca-certificates.crt"


def client(url: str) -> httpx.AsyncClient:
    return httpx.AsyncClient(base_url=url, trust_env=False, timeout=PATIENCE_SECONDS)


class Upstreams:
    """The two servers behind our recipe, and a client in front of it."""

    def __init__(self, api: RawServer, gateway: RawServer, http: httpx.AsyncClient) -> None:
        self._servers = {"api": api, "gateway": gateway}
        self._http = http

    async def asked(self, method: str, target: str, **headers: str) -> tuple[str, str, set[str]]:
        """Which server gets a request, and its line and headers there."""
        request = self._http.build_request(method, "/", headers=headers, content=b"")
        request.extensions["target"] = target.encode()
        assert (await self._http.send(request)).status_code == 200
        ((name, head),) = [
            (name, head) for name, seen in self._servers.items() for head in seen.heads
        ]
        line, *fields = head.decode().strip().split("\r\n")
        return name, line.removesuffix(" HTTP/1.1"), set(fields)

    def host(self, name: str) -> str:
        return urlsplit(self._servers[name].url).netloc


@pytest.fixture
async def upstreams(tmp_path: Path) -> AsyncIterator[Upstreams]:
    async with (
        raw_server(saying(DONE)) as api,
        raw_server(saying(DONE)) as gateway,
        nginx(tmp_path, lambda at: recipe(at, api.url, f"{gateway.url}/prod")) as url,
        client(url) as http,
    ):
        yield Upstreams(api, gateway, http)


@pytest.mark.parametrize(
    "line",
    [
        "GET /socket.io/?EIO=4&transport=polling&t=Pabc",
        "GET /socket.io?EIO=3&transport=polling&sid=poll-1&token=a%20b",
        "POST /socket.io/?EIO=4&transport=polling&sid=poll-1",
        "OPTIONS /socket.io/?EIO=4&transport=polling",
        "POST /api/emit/call-cancelled",
        "GET /health",
        "PUT /v1/calls/a%2Fb?x=%20+&y=",
        "GET /v1/openapi.json",
    ],
)
async def test_what_is_no_handshake_goes_to_the_function_as_it_is(
    upstreams: Upstreams, line: str
) -> None:
    method, target = line.split()
    # A client may offer another protocol than WebSocket.
    offered = {"Connection": "Upgrade", "Upgrade": "h2c", "X-Forwarded-For": "203.0.113.9"}
    name, seen, headers = await upstreams.asked(method, target, **offered)
    assert (name, seen) == ("api", line)
    expected = {"Connection: close", "X-Forwarded-For: 203.0.113.9, 127.0.0.1"}
    assert {f"Host: {upstreams.host('api')}", *expected} <= headers
    assert not [field for field in headers if field.lower().startswith("upgrade:")]


@pytest.mark.parametrize(
    ("target", "seen"),
    [
        (
            "/socket.io/?EIO=4&transport=websocket&sid=poll-1&token=a%20b",
            "/prod?EIO=4&transport=websocket&sid=poll-1&token=a%20b",
        ),
        ("/socket.io?EIO=3&transport=websocket", "/prod?EIO=3&transport=websocket"),
        ("/?token=a.b.c", "/prod?token=a.b.c"),
        ("/", "/prod"),
    ],
)
async def test_a_handshake_goes_to_the_stage_with_its_query(
    upstreams: Upstreams, target: str, seen: str
) -> None:
    shown = {"Connection": "Upgrade", "Upgrade": "WebSocket", "Sec-WebSocket-Protocol": "a"}
    name, line, headers = await upstreams.asked("GET", target, **shown)
    assert (name, line) == ("gateway", f"GET {seen}")
    expected = {"Connection: upgrade", "Upgrade: websocket", "X-Forwarded-For: 127.0.0.1"}
    assert {f"Host: {upstreams.host('gateway')}", "Sec-WebSocket-Protocol: a", *expected} <= headers


@pytest.mark.parametrize(
    ("trusted", "name", "status"),
    [
        (True, "api.test", 200),
        (True, "another.test", 502),
        (False, "api.test", 502),  # by an authority that the system does not know
    ],
)
async def test_an_upstream_must_show_that_it_is_whom_the_url_names(
    tmp_path: Path, trusted: bool, name: str, status: int
) -> None:
    authority = Authority(tmp_path)
    template = RECIPE.replace(TRUSTED, str(authority.certificate))
    assert template != RECIPE
    async with (
        raw_server(saying(DONE), authority.server("api.test")) as api,
        name_server() as names,
    ):
        upstream = f"https://{name}:{urlsplit(api.url).port}"
        conf = partial(
            recipe,
            api=upstream,
            websocket=upstream,
            resolver=names,
            template=template if trusted else RECIPE,
        )
        async with nginx(tmp_path, conf) as url, client(url) as http:
            assert (await http.get("/health")).status_code == status
    assert len(api.heads) == (status == 200)
    complaint = "upstream SSL certificate" in (tmp_path / "errors.log").read_text()
    assert complaint == (status != 200)


async def test_what_an_upstream_has_not_answered_is_asked_of_no_other_of_its_addresses(
    tmp_path: Path,
) -> None:
    async with raw_server(resetting(b"")) as api, name_server(addresses=2) as names:
        upstream = f"http://api.test:{urlsplit(api.url).port}"
        conf = partial(recipe, api=upstream, websocket=upstream, resolver=names)
        async with nginx(tmp_path, conf) as url, client(url) as http:
            poll = await http.get("/socket.io/?EIO=4&transport=polling&sid=poll-1")
    assert poll.status_code == 502
    assert len(api.heads) == 1  # it may have been given what waited


def test_the_page_says_what_each_variable_of_the_recipe_is() -> None:
    variables = set(re.findall(r"\$\{(\w+)\}", RECIPE))
    page = section("docs/one-host.md", "nginx in front of a deployment")
    assert variables == set(re.findall(r"^\| `(UNRING_\w+)` \|", page, re.MULTILINE))
    (command,) = re.findall(r"envsubst '(.*?)'", page)
    assert set(command.split()) == {f"${variable}" for variable in variables}
