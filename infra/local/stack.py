"""The whole system on one machine: the deployed functions, and the clouds' services around them."""

import asyncio
import itertools
import os
import secrets
import tempfile
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from urllib.parse import urlsplit

import httpx

from functions.settings import FUNCTIONS
from infra.local import apigateway, google
from infra.local.apigateway import AccessKeys, ApiGateway
from infra.local.aws import AwsCredentials, Trust
from infra.local.fcm import FcmServer
from infra.local.firestore import FirestoreServer
from infra.local.functions import NotStarted, function
from infra.local.pubsub import PubSubServer
from infra.local.topology import API, TOPIC, create_subscriptions, routes

_AUTH_EMULATOR = "127.0.0.1:9099"  # its presence alone makes the SDK take unsigned tokens


@dataclass(frozen=True, kw_only=True)
class Options:
    """How the stack differs from its default."""

    port: int = 8080  # of the WebSocket endpoint; 0 takes a free one, as all others do
    project: str = "unring-local"
    google: bool = False  # Google's emulators for Firestore and Pub/Sub instead of the embedded
    signed: bool = False  # a local STS hands out credentials, and @connections checks signatures
    sweep_every: timedelta = timedelta(minutes=1)
    backoff: tuple[timedelta, timedelta] = (timedelta(seconds=1), timedelta(seconds=10))
    gateway: apigateway.Options = API
    settings: Mapping[str, str] = field(default_factory=dict)  # environment of the functions
    logs: Path  # a folder; a file for each function


@dataclass(frozen=True)
class Stack:
    """Where everything is, once all of it is ready."""

    websocket: str
    connections: str
    firestore: str
    pubsub: str
    project: str
    fcm: FcmServer
    functions: Mapping[str, str]  # base URLs by name

    @property
    def socketio(self) -> str:
        """The URL for a Socket.IO client, whose default path is served too."""
        return f"http://{urlsplit(self.websocket).netloc}"

    def addresses(self) -> dict[str, str]:
        """What other programs are told; they depend on these names."""
        return {
            "websocket": self.websocket,
            "connections": self.connections,
            "firestore": self.firestore,
            "pubsub": self.pubsub,
            "fcm": self.fcm.url,
            "project": self.project,
        }


@asynccontextmanager
async def running(options: Options) -> AsyncIterator[Stack]:
    """Starts the stack, and ends all of it on the way out.

    Raises NotStarted when the port is taken, or a function or an emulator does not come up.
    """
    async with AsyncExitStack() as parts:
        secret = secrets.token_urlsafe(32)
        ready: dict[str, str] = {}  # the functions' URLs, once clients may come
        keys = AccessKeys() if options.signed else None
        api = ApiGateway(
            routes(lambda: ready["gateway"], secret), options.gateway, credentials=keys
        )
        try:
            await api.start(port=options.port)
        except OSError as error:
            raise NotStarted(
                f"Can't listen on port {options.port}: {os.strerror(error.errno or 0)}.\n"
                "Choose another with --port, or PORT=… of make run; 0 takes a free one."
            ) from error
        parts.push_async_callback(api.stop)
        fcm = await parts.enter_async_context(FcmServer())
        firestore, pubsub = await _google_services(parts, options)
        values = {
            "GOOGLE_CLOUD_PROJECT": options.project,
            "EVENTS_TOPIC": TOPIC,
            "GATEWAY_SECRET": secret,
            "CONNECTIONS_URL": api.connections_url,
            "FIRESTORE_EMULATOR_HOST": firestore,
            "PUBSUB_EMULATOR_HOST": pubsub,
            "FIREBASE_AUTH_EMULATOR_HOST": _AUTH_EMULATOR,
            "FCM_URL": fcm.url,
            **(await _aws_settings(parts, keys, options) if keys is not None else {}),
            **options.settings,
        }
        urls = await _start_functions(parts, values, options.logs)
        await create_subscriptions(pubsub, options.project, urls, options.backoff)
        await _warm_up(urls, options.logs)
        ready.update(urls)
        parts.enter_context(_Scheduler(urls["sweep"], options.sweep_every))
        yield Stack(
            websocket=api.websocket_url,
            connections=api.connections_url,
            firestore=firestore,
            pubsub=pubsub,
            project=options.project,
            fcm=fcm,
            functions=urls,
        )


@asynccontextmanager
async def passing_stack(google: bool = False) -> AsyncIterator[Stack]:
    """A stack on free ports that leaves nothing behind, its logs neither. Raises NotStarted."""
    with tempfile.TemporaryDirectory(prefix="unring-") as folder:
        async with running(Options(port=0, google=google, logs=Path(folder))) as stack:
            yield stack


async def _google_services(parts: AsyncExitStack, options: Options) -> tuple[str, str]:
    """The addresses of Firestore and Pub/Sub."""
    if options.google:
        try:
            # One after the other: of two at once, one that failed would leave the other behind.
            firestore = await parts.enter_async_context(google.firestore_emulator())
            pubsub = await parts.enter_async_context(google.pubsub_emulator(options.project))
        except google.EmulatorError as error:
            raise NotStarted(str(error)) from error
        return firestore, pubsub
    documents = await parts.enter_async_context(FirestoreServer())
    messages = await parts.enter_async_context(PubSubServer())
    return documents.address, messages.address


async def _aws_settings(
    parts: AsyncExitStack, keys: AccessKeys, options: Options
) -> dict[str, str]:
    trust = Trust()
    aws = await parts.enter_async_context(AwsCredentials(keys, trust))
    return {
        "AWS_REGION": options.gateway.region,
        "AWS_ROLE_ARN": trust.role_arn,
        "AWS_TOKEN_AUDIENCE": trust.audience,
        "AWS_ENDPOINT_URL_STS": aws.sts_url,
        "GCE_METADATA_HOST": aws.metadata_host,
    }


async def _start_functions(
    parts: AsyncExitStack, values: Mapping[str, str], logs: Path
) -> dict[str, str]:
    """Starts all of them at once, and has them end at once: each takes its second."""
    lives = [AsyncExitStack() for _ in FUNCTIONS]

    async def end() -> None:
        await asyncio.gather(*(life.aclose() for life in lives))

    parts.push_async_callback(end)
    started = await asyncio.gather(
        *(
            life.enter_async_context(function(name, values, logs))
            for life, name in zip(lives, FUNCTIONS, strict=True)
        ),
        return_exceptions=True,
    )
    for result in started:
        if isinstance(result, BaseException):
            raise result
    return {name: url for name, url in zip(FUNCTIONS, started, strict=True) if isinstance(url, str)}


async def _warm_up(urls: Mapping[str, str], logs: Path) -> None:
    """As Cloud Run's startup probe does, so that the first frame meets open channels."""

    async def get(name: str, url: str) -> None:
        try:
            (await http.get(url)).raise_for_status()
        except httpx.HTTPError as error:
            log = (logs / f"{name}.log").read_text(errors="replace")
            raise NotStarted(f"{name} can't reach its services:\n{log[-2000:]}") from error

    async with httpx.AsyncClient(timeout=30) as http:
        await asyncio.gather(*(get(name, url) for name, url in urls.items()))


class _Scheduler:
    """Cloud Scheduler: calls `sweep` again and again, whatever it answers."""

    def __init__(self, url: str, every: timedelta) -> None:
        self._url = url
        self._every = every.total_seconds()

    def __enter__(self) -> None:
        self._task = asyncio.create_task(self._run())

    def __exit__(self, *_: object) -> None:
        self._task.cancel()

    async def _run(self) -> None:
        now = asyncio.get_running_loop().time
        async with httpx.AsyncClient(timeout=180) as http:
            for due in itertools.count(now() + self._every, self._every):
                await asyncio.sleep(due - now())
                with suppress(httpx.HTTPError):  # the function's log has it; the next call is due
                    await http.post(self._url)
