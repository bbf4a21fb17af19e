"""How a route's mapping turns the context of a request into headers and query of the integration.

The syntax and the supported context variables are those of "Set up data mapping for WebSocket APIs"
and "WebSocket API mapping template reference" in the API Gateway developer guide. Pure.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import parse_qs, quote, unquote_plus

from infra.emulators.apigateway.http1 import Request
from infra.emulators.apigateway.options import CONNECT, Route

# Authorizer, API key and IAM variables are left out: this API has none of the three.
CONTEXT_VARIABLES = frozenset(
    {
        "apiId",
        "connectedAt",
        "connectionId",
        "domainName",
        "eventType",
        "extendedRequestId",
        "identity.sourceIp",
        "identity.userAgent",
        "messageId",
        "requestId",
        "requestTime",
        "requestTimeEpoch",
        "routeKey",
        "stage",
    }
)

_TARGET = re.compile(
    r"integration\.request\.(?:header\.(?P<header>[!#$%&'*+\-.^_`|~0-9A-Za-z]+)"
    r"|querystring\.(?P<parameter>[a-zA-Z0-9._$-]+))"
)
_STATIC = re.compile(r"'([\x20-\x26\x28-\x7e]*)'")
_ROUTE_PARAMETER = re.compile(
    r"route\.request\.(querystring|header|multivaluequerystring|multivalueheader)\.([a-zA-Z0-9._$-]+)"
)
_STAGE_VARIABLE = re.compile(r"stageVariables\.([A-Za-z0-9_]+)")
_CONTEXT_VARIABLE = re.compile(r"context\.([A-Za-z.]+)")


@dataclass(frozen=True)
class Static:
    value: str


@dataclass(frozen=True)
class ContextVariable:
    name: str


@dataclass(frozen=True)
class StageVariable:
    name: str


@dataclass(frozen=True)
class RouteParameter:
    location: str
    name: str


Source = Static | ContextVariable | StageVariable | RouteParameter


@dataclass(frozen=True)
class Mapped:
    """What is mapped: a header of the integration request, or a parameter of its query."""

    name: str
    source: Source
    in_query: bool = False


def parse_mappings(route_key: str, route: Route) -> tuple[Mapped, ...]:
    """The mappings of a route. Raises ValueError naming the first one AWS would refuse."""
    mappings: dict[tuple[bool, str], Mapped] = {}
    for target, expression in route.request_parameters.items():
        found = _TARGET.fullmatch(target)
        if found is None:
            raise ValueError(f"route {route_key}: {target!r} is no header or querystring mapping")
        in_query = found["header"] is None
        name = found["parameter"] if in_query else found["header"]
        key = (in_query, name if in_query else name.lower())
        if key in mappings:
            raise ValueError(f"route {route_key}: {name!r} is mapped twice")
        mappings[key] = Mapped(name, _parse_source(route_key, route, expression), in_query)
    return tuple(mappings.values())


def evaluate(
    mappings: tuple[Mapped, ...],
    context: Mapping[str, str],
    stage_variables: Mapping[str, str],
    handshake: Request | None,
    *,
    in_query: bool = False,
) -> list[tuple[str, str]]:
    """The headers to send, or the parameters of the query, in order. A source that has no value
    leaves its own out.

    `handshake` is the client's request on $connect, None on every other route.
    """
    chosen = [each for each in mappings if each.in_query is in_query]
    values = [(m.name, _value(m.source, context, stage_variables, handshake)) for m in chosen]
    return [(name, value) for name, value in values if value is not None]


def merged_query(query: str, mapped: list[tuple[str, str]], *, replace: bool) -> str:
    """The client's query as it is passed on, with `mapped` in place of its own, or beside that."""
    names = {name for name, _ in mapped} if replace else set()
    kept = [part for part in query.split("&") if part and _name_of(part) not in names]
    return "&".join([*kept, *(f"{quote(name)}={quote(value)}" for name, value in mapped)])


def _name_of(part: str) -> str:
    return unquote_plus(part.partition("=")[0])


def _parse_source(route_key: str, route: Route, expression: str) -> Source:
    if found := _STATIC.fullmatch(expression):
        return Static(found[1])
    if found := _STAGE_VARIABLE.fullmatch(expression):
        return StageVariable(found[1])
    found = _CONTEXT_VARIABLE.fullmatch(expression)
    if found is not None and found[1] in CONTEXT_VARIABLES:
        return ContextVariable(found[1])
    found = _ROUTE_PARAMETER.fullmatch(expression)
    if found is None:
        raise ValueError(f"route {route_key}: invalid mapping expression {expression!r}")
    if route_key != CONNECT:
        raise ValueError(f"route {route_key}: {expression!r} is supported on $connect only")
    if expression not in route.route_request_parameters:
        raise ValueError(f"route {route_key}: {expression!r} is not declared on the route")
    return RouteParameter(found[1], found[2])


def _value(
    source: Source,
    context: Mapping[str, str],
    stage_variables: Mapping[str, str],
    handshake: Request | None,
) -> str | None:
    match source:
        case Static(value):
            return value
        case ContextVariable(name):
            return context.get(name)
        case StageVariable(name):
            return stage_variables.get(name)
        case RouteParameter(location, name):
            return None if handshake is None else _route_parameter(location, name, handshake)


def _route_parameter(location: str, name: str, handshake: Request) -> str | None:
    if location.endswith("header"):
        values = handshake.header_values(name)
    else:
        decoded = parse_qs(handshake.query, keep_blank_values=True).get(name, [])
        # Header values are latin-1 here, so UTF-8 goes through as the bytes it is.
        values = [value.encode().decode("latin-1") for value in decoded]
    if not values:
        return None
    # Without "multivalue" API Gateway takes the last of a repeated parameter.
    return ",".join(values) if location.startswith("multivalue") else values[-1]
