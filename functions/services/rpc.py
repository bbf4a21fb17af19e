"""The time-out and the retries of every call to Google's gRPC services."""

from typing import Any

from google.api_core import exceptions
from google.api_core.retry import AsyncRetry, if_exception_type

# The libraries' own limits are 60 to 300 s; API Gateway waits for 29 s at most.
LIMITS: dict[str, Any] = {
    "timeout": 2.0,
    "retry": AsyncRetry(
        predicate=if_exception_type(exceptions.ServiceUnavailable, exceptions.InternalServerError),
        initial=0.05,
        maximum=0.5,
        timeout=4.0,
    ),
}
