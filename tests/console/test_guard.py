"""Who may ask the console what: every path, asked as those would who may not."""

from collections.abc import AsyncIterator
from urllib.parse import urlsplit

import httpx
import pytest

from infra.local.console.guard import MAX_BODY_BYTES
from tests.support.stacks import Watched

READS = (
    "/",
    "/index.html",
    "/api/stack",
    "/api/live",
    "/api/traces",
    "/api/traces/1",
    "/api/traces/1/text",
    "/api/spans/1",
    "/unknown",
)
WRITES = ("/api/tokens", "/api/faults/firestore-down", "/api/sweep")
EVERY = [*(("GET", path) for path in READS), *(("POST", path) for path in WRITES)]
every_path = pytest.mark.parametrize(("method", "path"), EVERY)


@pytest.fixture
async def http(watched: Watched) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=watched.url, trust_env=False) as client:
        yield client


@every_path
@pytest.mark.parametrize("host", ["evil.example", "evil.example:{}", "127.0.0.1", "[::1]:{}", ""])
async def test_by_another_name_it_answers_nothing(
    http: httpx.AsyncClient, watched: Watched, method: str, path: str, host: str
) -> None:
    named = host.format(urlsplit(watched.url).port)
    answer = await http.request(method, path, headers={"Host": named}, json={})
    assert answer.status_code in (400, 403)  # uvicorn itself refuses an empty one
    assert "token" not in answer.text


@every_path
@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example"},
        {"Origin": "http://127.0.0.1:1"},
        {"Origin": "null"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
    ],
    ids=str,
)
async def test_another_page_is_refused(
    http: httpx.AsyncClient, method: str, path: str, headers: dict[str, str]
) -> None:
    answer = await http.request(method, path, headers=headers, json={})
    assert (answer.status_code, list(answer.json())) == (403, ["error"])


@pytest.mark.parametrize("path", WRITES)
@pytest.mark.parametrize("type", ["text/plain", "application/x-www-form-urlencoded", None])
async def test_what_a_form_can_send_changes_nothing(
    http: httpx.AsyncClient, path: str, type: str | None
) -> None:
    headers = {"Content-Type": type} if type else {}
    answer = await http.post(path, content=b'{"on": true, "user": "alice"}', headers=headers)
    assert (answer.status_code, list(answer.json())) == (415, ["error"])
    assert all(not fault["on"] for fault in (await http.get("/api/stack")).json()["faults"])


@pytest.mark.parametrize("path", WRITES)
async def test_what_changes_something_is_no_get(http: httpx.AsyncClient, path: str) -> None:
    answer = await http.get(path)
    assert (answer.status_code, list(answer.json())) == (405, ["error"])


@pytest.mark.parametrize("path", WRITES)
@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"{", 400),
        (b"[]", 400),
        (b"[" * 100_00, 400),
        (b'{"user": "' + b"x" * MAX_BODY_BYTES + b'"}', 413),
    ],
    ids=["half", "a list", "deep", "large"],
)
async def test_what_is_no_small_object_is_refused(
    http: httpx.AsyncClient, path: str, body: bytes, status: int
) -> None:
    answer = await http.post(path, content=body, headers={"Content-Type": "application/json"})
    assert (answer.status_code, list(answer.json())) == (status, ["error"])


@pytest.mark.parametrize(
    "target",
    [
        "/../console.py",
        "/../../../../../../etc/passwd",
        "/..%2fconsole.py",
        "/%2e%2e/console.py",
        "//etc/passwd",
        "/%2fetc/passwd",
        "/.",
        "/..",
        "/page",
        "/index.html/",
        "/index.html%00.js",
        "/api",
        "/api/",
        "/api/stack/",
        "/api/traces/x",
        "/api/traces/-1",
        "/api/traces/1/other",
        "/api/spans/999999999",
        "/api/traces/" + "9" * 5000,
    ],
)
async def test_no_path_leads_anywhere_else(http: httpx.AsyncClient, target: str) -> None:
    as_it_is = {"target": target.encode()}  # httpx would tidy it up
    answer = await http.get("/", extensions=as_it_is)
    assert (answer.status_code, list(answer.json())) == (404, ["error"])


@every_path
async def test_every_answer_says_what_a_browser_may_do_with_it(
    http: httpx.AsyncClient, watched: Watched, method: str, path: str
) -> None:
    async with http.stream(method, path, json={}) as answer:
        headers = answer.headers
    websocket = f"ws://{urlsplit(watched.stack.websocket).netloc}"
    policy = dict(part.split(" ", 1) for part in headers["content-security-policy"].split("; "))
    assert policy == {
        "default-src": "'none'",
        "script-src": "'self'",
        "style-src": "'self'",
        "img-src": "'self' data:",
        "connect-src": f"'self' {websocket}",
        "frame-ancestors": "'none'",
        "base-uri": "'none'",
        "form-action": "'none'",
    }
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "no-referrer"
    assert headers["cache-control"] == "no-store"
    assert not [name for name in headers if name.startswith("access-control-")]


async def test_another_page_may_not_even_ask_whether_it_may(http: httpx.AsyncClient) -> None:
    asked = {"Origin": "https://evil.example", "Access-Control-Request-Method": "POST"}
    answer = await http.options("/api/tokens", headers=asked)
    assert answer.status_code == 403
    assert not [name for name in answer.headers if name.startswith("access-control-")]


async def test_its_own_page_is_answered_by_either_name(
    http: httpx.AsyncClient, watched: Watched
) -> None:
    port = urlsplit(watched.url).port
    for host in (f"127.0.0.1:{port}", f"localhost:{port}"):
        own = {"Host": host, "Origin": f"http://{host}", "Sec-Fetch-Site": "same-origin"}
        answer = await http.post("/api/tokens", json={"user": "alice"}, headers=own)
        assert answer.status_code == 200
    crossed = {"Host": f"localhost:{port}", "Origin": f"http://127.0.0.1:{port}"}
    assert (await http.get("/api/stack", headers=crossed)).status_code == 403
