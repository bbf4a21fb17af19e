"""The mapping expressions: what they evaluate to, and which are refused."""

import pytest

from infra.emulators.apigateway import Options, Route, Throttle
from infra.emulators.apigateway.http1 import Request
from infra.emulators.apigateway.ids import is_well_formed, new_id
from infra.emulators.apigateway.mapping import evaluate, merged_query, parse_mappings
from infra.emulators.apigateway.routing import select_route
from infra.emulators.apigateway.throttle import Bucket

HEADER = "integration.request.header.Test"
HANDSHAKE = Request(
    "GET",
    "/dev?token=a%20b&token=last&word=%C3%A9",
    (("Authorization", "one"), ("authorization", "two")),
)
DECLARED = frozenset(
    {
        "route.request.header.Authorization",
        "route.request.header.Absent",
        "route.request.multivalueheader.Authorization",
        "route.request.querystring.token",
        "route.request.querystring.absent",
        "route.request.querystring.word",
    }
)


def value_of(expression: str) -> list[tuple[str, str]]:
    route = Route("http://unused", {HEADER: expression}, DECLARED)
    mappings = parse_mappings("$connect", route)
    return evaluate(mappings, {"connectionId": "C="}, {"secret": "s3cret"}, HANDSHAKE)


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ("context.connectionId", "C="),
        ("stageVariables.secret", "s3cret"),
        ("'a static value'", "a static value"),
        ("route.request.header.Authorization", "two"),
        ("route.request.multivalueheader.Authorization", "one,two"),
        ("route.request.querystring.token", "last"),
        ("route.request.querystring.word", "é".encode().decode("latin-1")),
    ],
)
def test_an_expression_becomes_the_value_of_its_header(expression: str, value: str) -> None:
    assert value_of(expression) == [("Test", value)]


def test_a_parameter_of_the_query_takes_the_place_of_the_clients() -> None:
    target = "integration.request.querystring.token"
    (mapped,) = parse_mappings("$connect", Route("http://unused", {target: "'-'"}))
    values = evaluate((mapped,), {}, {}, HANDSHAKE, in_query=True)
    assert evaluate((mapped,), {}, {}, HANDSHAKE) == []
    assert merged_query(HANDSHAKE.query, values, replace=True) == "word=%C3%A9&token=-"
    assert merged_query("%74oken=a&to+ken=b", values, replace=True) == "to+ken=b&token=-"
    assert merged_query("token=a", values, replace=False) == "token=a&token=-"
    assert merged_query("", [], replace=True) == ""


@pytest.mark.parametrize(
    "expression",
    [
        "route.request.header.Absent",
        "route.request.querystring.absent",
        "stageVariables.absent",
        "context.messageId",
    ],
)
def test_a_source_without_a_value_sends_no_header(expression: str) -> None:
    assert value_of(expression) == []


@pytest.mark.parametrize(
    ("route_key", "target", "expression"),
    [
        ("$default", HEADER, "context.nonsense"),
        ("$default", HEADER, "$context.connectionId"),
        ("$default", HEADER, "connectionId"),
        ("$default", HEADER, "a static value"),
        ("$default", HEADER, "'it's'"),
        ("$default", HEADER, "append:header.x"),
        ("$default", HEADER, "route.request.header.Authorization"),
        ("$disconnect", HEADER, "route.request.querystring.token"),
        ("$connect", HEADER, "route.request.querystring.undeclared"),
        ("$default", "append:header.Test", "context.connectionId"),
        ("$default", "integration.request.header.", "context.connectionId"),
        ("$default", "integration.request.header.A B", "context.connectionId"),
    ],
)
def test_what_aws_would_refuse_is_refused_by_name(
    route_key: str, target: str, expression: str
) -> None:
    with pytest.raises(ValueError, match=r"route \$") as refused:
        parse_mappings(route_key, Route("http://unused", {target: expression}, DECLARED))
    assert (target if target != HEADER else expression) in str(refused.value)


def test_a_header_cannot_be_mapped_twice() -> None:
    mapped = {HEADER: "context.stage", HEADER.replace("Test", "test"): "context.apiId"}
    with pytest.raises(ValueError, match="mapped twice"):
        parse_mappings("$default", Route("http://unused", mapped))


@pytest.mark.parametrize(
    "options",
    [
        {"stage_variables": {"bad name": "x"}},
        {"stage_variables": {"secret": "no spaces"}},
        {"base_paths": ("socket.io",)},
    ],
)
def test_options_aws_would_refuse_are_refused(options: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"bad name|secret|socket\.io"):
        Options(**options)  # type: ignore[arg-type] # each case sets one field


@pytest.mark.parametrize(
    ("message", "route_key"),
    [
        (b'{"event": "call:cancel"}', "call:cancel"),
        (b'{"event": "call:CANCEL"}', "$default"),
        (b'{"event": "$connect"}', "$default"),
        (b'{"event": "$disconnect"}', "$default"),
        (b'{"event": 5}', "$default"),
        (b'{"other": "call:cancel"}', "$default"),
        (b'["event"]', "$default"),
        (b"2", "$default"),
        (b'42["call:cancel",{}]', "$default"),
        (b"", "$default"),
        (b"[" * 30_000, "$default"),
        (b'{"event": ' + b"9" * 5_000 + b"}", "$default"),
    ],
)
def test_a_message_goes_to_the_route_its_event_names_or_to_default(
    message: bytes, route_key: str
) -> None:
    route = Route("http://unused")
    table = dict.fromkeys(("$connect", "$default", "$disconnect", "call:cancel"), route)
    assert select_route(message, table) == route_key


def test_without_a_default_route_an_unknown_event_has_no_route() -> None:
    assert select_route(b"{}", {"call:cancel": Route("http://unused")}) is None


def test_ids_have_the_shape_of_aws() -> None:
    first, second = new_id(), new_id()
    assert first != second
    assert len(first) == 16
    assert first.endswith("=")
    assert is_well_formed(first)


@pytest.mark.parametrize("text", ["", "abc", "a+bcdefghijklmn=", "VNRUSeldSwMCIRQ", "é" * 16])
def test_what_is_no_id_is_seen_as_such(text: str) -> None:
    assert not is_well_formed(text)


def test_a_bucket_lets_its_burst_pass_and_then_its_rate() -> None:
    bucket = Bucket(Throttle(rate=1, burst=2), now=0.0)
    assert [bucket.take(0.0) for _ in range(3)] == [True, True, False]
    assert [bucket.take(1.0) for _ in range(2)] == [True, False]


def test_a_bucket_of_nothing_lets_nothing_pass() -> None:
    assert not Bucket(Throttle(rate=0, burst=0), now=0.0).take(100.0)
