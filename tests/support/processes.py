"""The functions' environment when a test starts them, or parts of them, by itself."""

from typing import TypeVar

from functions.settings import FunctionSettings, load

SECRET = "a secret of sixteen and more"
QUEUE = "projects/unring-test/locations/us-east1/queues/rings"
RING_TOKEN_SECRET = "a secret of ring tokens, thirty-two bytes"
WEBHOOK, WEBHOOK_SECRET = "https://app.example/hook", f"whsec_{'a' * 32}"

_Settings = TypeVar("_Settings", bound=FunctionSettings)


def settings_of(kind: type[_Settings], **changes: str) -> _Settings:
    """A function's settings with these variables, which need no service to be there."""
    return load(kind, {**environment(), **changes})


def environment() -> dict[str, str]:
    return {
        "GOOGLE_CLOUD_PROJECT": "unring-test",
        "GATEWAY_SECRET": SECRET,
        "CONNECTIONS_URL": "http://127.0.0.1:9/dev/@connections",
        "WEBHOOK_URLS": WEBHOOK,
        "WEBHOOK_SECRET": WEBHOOK_SECRET,
        "TASKS_QUEUE": QUEUE,
        "TASKS_URL": "http://127.0.0.1:9",
        "TASKS_SERVICE_ACCOUNT": "caller@unring-test.iam.gserviceaccount.com",
        "RING_TOKEN_SECRET": RING_TOKEN_SECRET,
    }
