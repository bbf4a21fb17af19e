"""What is configured of the API: its stage, its routes, its limits, and the switches for what AWS
does not document."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal

CONNECT = "$connect"
DEFAULT = "$default"
DISCONNECT = "$disconnect"

# What the API Gateway console and CreateStage accept as a stage variable.
_STAGE_VARIABLE_NAME = re.compile(r"[A-Za-z0-9_]+")
_STAGE_VARIABLE_VALUE = re.compile(r"[A-Za-z0-9\-._~:/?#&=,]+")


@dataclass(frozen=True)
class Throttle:
    """A token bucket: `burst` requests at once, refilled by `rate` requests a second."""

    rate: float
    burst: int


@dataclass(frozen=True)
class Route:
    """A route and its HTTP_PROXY integration (method POST).

    `integration_url` may be a callable, asked at every request, since a function often starts after
    the gateway whose URL it needs; a LookupError says that there is no backend yet.
    `request_parameters` is the integration's mapping in AWS's own syntax, e.g.
    `{"integration.request.header.Event-Type": "context.eventType"}`.
    `route_request_parameters` names the parameters declared on the route itself, e.g.
    `{"route.request.querystring.token"}`: only those can be mapped.
    `route_response` makes the route two-way: the reply's body goes back to the sender.
    """

    integration_url: str | Callable[[], str]
    request_parameters: Mapping[str, str] = field(default_factory=dict)
    route_request_parameters: frozenset[str] = frozenset()
    route_response: bool = False


@dataclass(frozen=True)
class Options:
    """The stage and its limits. Defaults are AWS's; the switches say what is not documented.

    `base_paths` are where the API answers, each with and without a trailing slash: by default
    `/{stage}`; a custom domain's mapping key is one more, e.g. `/v1`.
    Raises ValueError for a value that AWS would refuse.
    """

    stage: str = "dev"
    region: str = "us-east-1"
    api_id: str = "a1b2c3d4e5"
    base_paths: tuple[str, ...] = ()
    stage_variables: Mapping[str, str] = field(default_factory=dict)

    idle_seconds: float = 600.0
    lifetime_seconds: float = 7200.0
    integration_timeout_seconds: float = 29.0
    max_frame_bytes: int = 32 * 1024
    max_message_bytes: int = 128 * 1024
    max_target_bytes: int = 4096
    # Counted over connects, frames and @connections calls alike: one quota of the account.
    stage_throttle: Throttle = Throttle(rate=10_000, burst=5_000)
    new_connections: Throttle = Throttle(rate=500, burst=500)
    # @connections calls to one connection; AWS documents the 429 but no figure.
    connection_throttle: Throttle | None = None
    # A POST is answered 429 while more than this waits for a client that does not read.
    client_buffer_bytes: int = 256 * 1024

    # Not documented, so either answer can be chosen.
    idle_close_code: int = 1001
    lifetime_close_code: int = 1001
    delete_close_code: int = 1000
    # Idle is said to mean "no messages"; whether pings and pongs are any is not said.
    pings_keep_alive: bool = False
    client_sent_mapped_header: Literal["replace", "join"] = "replace"
    # Whether the Sec-WebSocket-Protocol of the reply to $connect reaches the client; it is known of
    # Lambda functions only.
    subprotocol_of_reply: Literal["passed on", "left out"] = "passed on"
    empty_reply: Literal["frame", "nothing"] = "frame"
    # Lambda proxies were seen to ignore the status of a reply, HTTP ones to turn 5xx into an error.
    error_frame_from_status: int = 500
    connect_unreachable_status: int = 502
    connect_timeout_status: int = 504

    # How long a client may take to answer a close frame, and stop() to take leave of all.
    close_seconds: float = 5.0
    stop_seconds: float = 2.0

    def __post_init__(self) -> None:
        for name, value in self.stage_variables.items():
            if not _STAGE_VARIABLE_NAME.fullmatch(name):
                raise ValueError(f"stage variable {name!r}: letters, digits and _ only")
            if not _STAGE_VARIABLE_VALUE.fullmatch(value):
                raise ValueError(
                    f"stage variable {name!r}: value must match [A-Za-z0-9-._~:/?#&=,]+"
                )
        for path in self.base_paths:
            if not path.startswith("/"):
                raise ValueError(f"base path {path!r} must begin with a slash")

    def bases(self) -> tuple[str, ...]:
        """The base paths without their trailing slash; the root is the empty string."""
        return tuple(path.rstrip("/") for path in self.base_paths or (f"/{self.stage}",))
