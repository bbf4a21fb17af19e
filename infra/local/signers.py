"""Who signs in a signed stack: Firebase for its users, Google for those who call its functions."""

from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import partial

from infra.emulators.auth.keys import TokenKeys
from infra.emulators.cloudrun.invoker import Front, Issuer
from infra.emulators.faults import Faults
from infra.local.topology import caller

# To anybody: the one checks API Gateway's secret itself, the other the tokens of apps' users.
_OPEN = {"gateway", "api"}


@dataclass(frozen=True)
class Signers:
    """Both of them, and the project that they sign for."""

    project: str
    users: TokenKeys  # Firebase: ID tokens
    callers: Issuer  # Google: tokens of who calls the functions

    def headers(self, url: str) -> dict[str, str]:
        """What Google's services show when they call the function at `url`."""
        return {"Authorization": f"Bearer {self.callers.token(caller(self.project), url)}"}

    @asynccontextmanager
    async def fronts(
        self, names: Iterable[str], url_of: Callable[[str], str]
    ) -> AsyncIterator[dict[str, str]]:
        """Puts a `Front` before each function that is not for all; yields the URLs to call.
        `url_of` is asked for a function's own when somebody calls it."""
        urls = {}
        async with AsyncExitStack() as parts:
            for name in set(names) - _OPEN:
                front = Front(partial(url_of, name), self.callers, {caller(self.project)})
                urls[name] = (await parts.enter_async_context(front)).url
            yield urls


@asynccontextmanager
async def signers(
    project: str, keys_max_age_seconds: int, faults: Faults
) -> AsyncIterator[Signers]:
    """New keys for everything, and a server for those of ID tokens while the block lasts."""
    async with TokenKeys(project, keys_max_age_seconds, faults) as users:
        yield Signers(project, users, Issuer())
