"""API Gateway's WebSocket API on a local port: the socket side and `@connections`, as on AWS."""

from infra.emulators.apigateway.options import Options, Route, Throttle
from infra.emulators.apigateway.server import ApiGateway
from infra.emulators.apigateway.sigv4 import AccessKeys

__all__ = ["AccessKeys", "ApiGateway", "Options", "Route", "Throttle"]
