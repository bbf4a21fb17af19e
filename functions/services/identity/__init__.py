"""Whose a token is: the providers of identity, of which settings choose one or several."""

from collections.abc import Callable, Mapping
from importlib import import_module

from functions.ports.identity import Identity
from functions.services.identity.choice import Provider, chosen
from functions.settings import IdentitySettings


def connect(settings: IdentitySettings) -> Identity:
    """The verifier of tokens. What a provider needs is imported only if it is chosen."""
    return chosen([_PROVIDERS[name](settings) for name in settings.identity])


def _provider(module: str) -> Callable[[IdentitySettings], Provider]:
    def make(settings: IdentitySettings) -> Provider:
        made: Provider = import_module(f"{__name__}.{module}").provider(settings)
        return made

    return make


_PROVIDERS: Mapping[str, Callable[[IdentitySettings], Provider]] = {
    name: _provider(name) for name in ("firebase", "oidc", "secret", "introspection")
}
