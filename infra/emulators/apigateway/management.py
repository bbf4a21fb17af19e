"""`@connections`: how a backend posts to, looks at and closes the sockets."""

import time
from collections.abc import Mapping
from datetime import UTC, datetime
from http import HTTPStatus
from urllib.parse import unquote

from infra.emulators.apigateway.http1 import Request, Response, json_response
from infra.emulators.apigateway.ids import is_well_formed, new_id
from infra.emulators.apigateway.options import Options
from infra.emulators.apigateway.session import Session
from infra.emulators.apigateway.sigv4 import AccessKeys, SignatureError, verify
from infra.emulators.apigateway.throttle import Bucket


class Management:
    """Answers the requests of unmodified `apigatewaymanagementapi` clients.

    `sessions` holds the connections whose $connect has returned. With `credentials` None no
    signature is asked for.
    """

    def __init__(
        self,
        options: Options,
        sessions: Mapping[str, Session],
        stage_bucket: Bucket,
        credentials: AccessKeys | None,
    ) -> None:
        self._options = options
        self._sessions = sessions
        self._stage_bucket = stage_bucket
        self._credentials = credentials
        self._connection_buckets: dict[str, Bucket] = {}

    def has(self, path: str) -> bool:
        """Whether this path is that of a connection, known or not."""
        return self._connection_id(path) is not None

    def respond(self, request: Request) -> Response:
        """The answer to one request: 200, 204, 400, 403, 410, 413 or 429."""
        connection_id = self._connection_id(request.path)
        if connection_id is None or request.method not in ("GET", "POST", "DELETE"):
            return _error(HTTPStatus.FORBIDDEN, "ForbiddenException", "Forbidden")
        if self._credentials is not None:
            try:
                verify(request, self._credentials, self._options.region, datetime.now(UTC))
            except SignatureError as error:
                return _error(HTTPStatus.FORBIDDEN, error.error_type, str(error))
        if not is_well_formed(connection_id):
            return _bad_request(f"Invalid connectionId: {connection_id}")
        if len(request.body) > self._options.max_message_bytes:
            return _error(
                HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
                "PayloadTooLargeException",
                "The data has exceeded the maximum size allowed.",
            )
        session = self._sessions.get(connection_id)
        if session is None or not session.is_open:
            return _gone()
        if not self._may_pass(connection_id):
            return _limit_exceeded("Too Many Requests")
        return self._apply(request, session)

    def forget(self, connection_id: str) -> None:
        """Drop what is kept of a connection that has ended."""
        self._connection_buckets.pop(connection_id, None)

    def _connection_id(self, path: str) -> str | None:
        # Split before decoding, since an encoded slash is part of the id.
        *base, name, connection_id = ["", *(unquote(part) for part in path.split("/"))]
        if name != "@connections" or "/".join(base[1:]) not in self._options.bases():
            return None
        return connection_id

    def _may_pass(self, connection_id: str) -> bool:
        now = time.monotonic()
        if not self._stage_bucket.take(now):
            return False
        throttle = self._options.connection_throttle
        if throttle is None:
            return True
        bucket = self._connection_buckets.setdefault(connection_id, Bucket(throttle, now))
        return bucket.take(now)

    def _apply(self, request: Request, session: Session) -> Response:
        match request.method:
            case "POST":
                return _post(request.body, session)
            case "DELETE":
                session.close(self._options.delete_close_code)
                return Response(HTTPStatus.NO_CONTENT, (("x-amzn-requestid", new_id()),))
            case _:
                return _describe(session)


def _post(message: bytes, session: Session) -> Response:
    try:
        message.decode()
    except UnicodeDecodeError:
        return _bad_request("The data is not valid UTF-8.")
    if session.is_congested:
        return _limit_exceeded("The client's buffer is full.")
    session.send(message)
    return Response(HTTPStatus.OK, (("x-amzn-requestid", new_id()),))


def _describe(session: Session) -> Response:
    return json_response(
        HTTPStatus.OK,
        {
            "connectedAt": _iso8601(session.client.connected_at),
            "lastActiveAt": _iso8601(session.last_active_at),
            "identity": {
                "sourceIp": session.client.source_ip,
                "userAgent": session.client.user_agent,
            },
        },
        ("x-amzn-requestid", new_id()),
    )


def _iso8601(moment: datetime) -> str:
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _bad_request(message: str) -> Response:
    return _error(HTTPStatus.BAD_REQUEST, "BadRequestException", message)


def _limit_exceeded(message: str) -> Response:
    return _error(HTTPStatus.TOO_MANY_REQUESTS, "LimitExceededException", message)


def _gone() -> Response:
    # On AWS this body has been seen to be no JSON: clients must go by the status or this header.
    headers = (("x-amzn-requestid", new_id()), ("x-amzn-errortype", "GoneException"))
    return Response(HTTPStatus.GONE, headers)


def _error(status: int, error_type: str, message: str) -> Response:
    return json_response(
        status,
        {"message": message},
        ("x-amzn-requestid", new_id()),
        ("x-amzn-errortype", error_type),
    )
