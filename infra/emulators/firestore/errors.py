"""The errors of Firestore, as gRPC status codes."""

import grpc

from infra.emulators.unplayed import INSTEAD


class RpcError(Exception):
    """What a handler raises to end its RPC with `code`, a grpc.StatusCode, and a message."""

    def __init__(self, code: grpc.StatusCode, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


def invalid(message: str) -> RpcError:
    """The request itself is wrong, whatever is stored."""
    return RpcError(grpc.StatusCode.INVALID_ARGUMENT, message)


def failed_precondition(message: str) -> RpcError:
    """What is stored is not as the request demands."""
    return RpcError(grpc.StatusCode.FAILED_PRECONDITION, message)


def already_exists(message: str) -> RpcError:
    return RpcError(grpc.StatusCode.ALREADY_EXISTS, message)


def not_found(message: str) -> RpcError:
    return RpcError(grpc.StatusCode.NOT_FOUND, message)


def aborted(message: str) -> RpcError:
    """A transaction lost against another write; the client begins it again."""
    return RpcError(grpc.StatusCode.ABORTED, message)


def unimplemented(message: str) -> RpcError:
    """Real Firestore can do this, the embedded one can't."""
    return RpcError(grpc.StatusCode.UNIMPLEMENTED, f"{message} {INSTEAD}")
