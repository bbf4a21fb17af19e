"""The front: what Terraform computes of it, and where its function sends each kind of request."""

import json
import re
import shutil
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest

from infra import ROOT
from tests.cloud.support import FRONT, Checkout, Message, problems_in, values_of

ORIGINS = {"api", "websocket"}
STAGE = "/v2"
# What no function sees of a request:
# https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/edge-function-restrictions-all.html
HIDDEN = {"connection", "upgrade"}
HANDSHAKE = {
    "connection": "Upgrade",
    "upgrade": "websocket",
    "sec-websocket-key": "dGhlIHNhbXBsZSBub25jZQ==",
    "sec-websocket-version": "13",
    "sec-websocket-protocol": "unring, bearer.a.b.c",
}
POLL = "transport=polling&t=P8u0BhA"

# Stands in for what CloudFront gives functions: it takes the ids of the distribution's own origins.
CLOUDFRONT = f"""
export const selected = [];
export default {{
  selectRequestOriginById(id) {{
    if (!{json.dumps(sorted(ORIGINS))}.includes(id)) throw new Error(`${{id}} is no origin`);
    selected.push(id);
  }},
}};
"""
PLAYED = """
import { selected } from 'cloudfront';
import { readFileSync } from 'node:fs';
const request = handler(JSON.parse(readFileSync(0)));
console.log(JSON.stringify({ request, selected }));
"""

Request = dict[str, Any]
Chooses = Callable[[Request], tuple[str, Request]]


@pytest.fixture(scope="session")
def messages(checkout: Checkout) -> list[Message]:
    begun = checkout.run("init", "-no-color", folder=FRONT)
    assert begun.returncode == 0, begun.stderr
    return checkout.tested("front", "-verbose", folder=FRONT)


@pytest.fixture(scope="session")
def chooses(tmp_path_factory: pytest.TempPathFactory) -> Chooses:
    """Runs the function under Node: where it sends a request, and what that has become."""
    node = shutil.which("node")
    if node is None:
        pytest.skip("node not found")
    folder = tmp_path_factory.mktemp("front")
    package = folder / "node_modules/cloudfront"
    package.mkdir(parents=True)
    (package / "package.json").write_text('{"type": "module", "exports": "./index.js"}')
    (package / "index.js").write_text(CLOUDFRONT)
    (folder / "played.mjs").write_text(deployed_function() + PLAYED)

    def choose(request: Request) -> tuple[str, Request]:
        said = play(node, folder, request)
        (origin,) = said["selected"] or ["api"]  # that of the cache behavior
        return origin, said["request"]

    return choose


def play(node: str, folder: Path, request: Request) -> Mapping[str, Any]:
    run = subprocess.run(  # noqa: S603 - our own function
        [node, "played.mjs"],
        cwd=folder,
        input=json.dumps({"version": "1.0", "request": request}),
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    return dict(json.loads(run.stdout))


def deployed_function() -> str:
    """The function with what distribution.tf fills in; Terraform's own is compared below."""
    values = {"websocket": "websocket", "stage": STAGE}
    file = (ROOT / FRONT / "origin.js").read_text()
    return re.sub(r"\$\{(\w+)\}", lambda found: values[found[1]], file)


def request(method: str, url: str, headers: Mapping[str, str]) -> Request:
    """A request as CloudFront shows it to functions."""
    parts = urlsplit(url)
    query = parse_qsl(parts.query, keep_blank_values=True)
    return {
        "method": method,
        "uri": parts.path,
        "querystring": {name: {"value": value} for name, value in query},
        "headers": {
            name: {"value": value} for name, value in headers.items() if name not in HIDDEN
        },
        "cookies": {"session": {"value": "1"}},
    }


# What Terraform computes


@pytest.mark.timeout(300)  # Terraform starts its provider again and again
def test_what_the_front_says_of_itself_holds(messages: list[Message]) -> None:
    (said,) = [each["test_summary"] for each in messages if each["type"] == "test_summary"]
    assert said["status"] == "pass", "\n".join(problems_in(messages))
    assert said["passed"] == 9


@pytest.mark.timeout(300)
def test_the_function_is_deployed_as_it_is_tested_here(messages: list[Message]) -> None:
    (state,) = [
        each["test_state"]
        for each in messages
        if each["type"] == "test_state" and each["@testrun"] == "deployed"
    ]
    resources = state["root_module"]["resources"]
    (function,) = values_of(resources, "aws_cloudfront_function").values()
    (distribution,) = values_of(resources, "aws_cloudfront_distribution").values()
    assert function["code"] == deployed_function()
    assert {origin["origin_id"] for origin in distribution["origin"]} == ORIGINS


def test_the_function_is_as_small_as_cloudfront_wants_it() -> None:
    assert len(deployed_function().encode()) < 10 * 1024


# Which origin a request goes to


@pytest.mark.parametrize(
    ("method", "url"),
    [
        ("GET", f"/socket.io/?EIO=4&{POLL}"),
        ("GET", f"/socket.io/?EIO=4&{POLL}&sid=poll-1"),
        ("POST", f"/socket.io/?EIO=4&{POLL}&sid=poll-1"),
        ("GET", f"/socket.io/?EIO=3&{POLL}&token=a.b-c_d&userId=USR_1"),
        ("GET", f"/socket.io?EIO=4&{POLL}"),
        ("OPTIONS", f"/socket.io/?EIO=4&{POLL}"),
        ("GET", "/socket.io/?EIO=4"),
        ("GET", "/socket.io/?EIO=4&transport=webtransport"),
        ("POST", "/v1/signals"),
        ("GET", "/v1/calls/CALL_1?ring=ring.x"),
        ("PUT", "/v1/calls/CALL_1"),
        ("DELETE", "/v1/users/USR_1"),
        ("POST", "/api/emit/call-cancelled"),
        ("GET", "/health"),
    ],
)
def test_what_polls_and_all_that_is_plain_https_goes_to_api(
    chooses: Chooses, method: str, url: str
) -> None:
    sent = request(method, url, {"host": "calls.example.com", "authorization": "Bearer a.b.c"})
    assert chooses(sent) == ("api", sent)


@pytest.mark.parametrize(
    "url",
    [
        "/socket.io/?EIO=4&transport=websocket",
        "/socket.io/?EIO=4&transport=websocket&sid=poll-1",
        "/socket.io/?EIO=3&transport=websocket&token=a.b-c_d&userId=USR_1&deviceId=a%2Fb",
        "/socket.io?EIO=4&transport=websocket",
        # The JSON wire, whatever its path.
        "/",
        "/?token=a.b-c_d&userId=USR_1",
        "/v2?ring=ring.x",
        "/prod/?token=a.b-c_d&transport=",
    ],
)
def test_a_handshake_goes_to_the_stage_with_its_query_as_it_was(chooses: Chooses, url: str) -> None:
    sent = request("GET", url, {"host": "calls.example.com", **HANDSHAKE})
    assert chooses(sent) == ("websocket", {**sent, "uri": STAGE})


@pytest.mark.parametrize("transport", ["polling", "webtransport"])
def test_who_asks_for_another_transport_gets_no_websocket(chooses: Chooses, transport: str) -> None:
    sent = request("GET", f"/socket.io/?EIO=4&transport={transport}", HANDSHAKE)
    assert chooses(sent) == ("api", sent)


def test_who_asks_for_a_websocket_without_a_handshake_is_left_to_api_gateway(
    chooses: Chooses,
) -> None:
    sent = request("GET", "/socket.io/?EIO=4&transport=websocket", {"host": "calls.example.com"})
    assert chooses(sent) == ("websocket", {**sent, "uri": STAGE})
