"""The functions' environment when a test starts them, or parts of them, by itself."""

from functions.settings import Settings, load

SECRET = "a secret of sixteen and more"


def settings_of(function: str, **changes: str) -> Settings:
    """The settings of `function` with these variables, which need no service to be there."""
    return load(function, {**environment(), **changes})


def environment() -> dict[str, str]:
    return {
        "GOOGLE_CLOUD_PROJECT": "unring-test",
        "GATEWAY_SECRET": SECRET,
        "CONNECTIONS_URL": "http://127.0.0.1:9/dev/@connections",
    }
