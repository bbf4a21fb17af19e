"""The whole system on one machine: the deployed functions, and the clouds' services around them."""

import asyncio
import errno
import os
import secrets
import tempfile
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from urllib.parse import urlsplit

import httpx

from functions.settings import FUNCTIONS
from infra.emulators import apigateway, google
from infra.emulators.apigateway import AccessKeys, ApiGateway
from infra.emulators.auth.tokens import LIFETIME_SECONDS, unsigned, unsigned_token
from infra.emulators.aws import AwsCredentials, Trust
from infra.emulators.cloudtasks import CloudTasksServer
from infra.emulators.faults import Faults, FaultyRpcs
from infra.emulators.fcm import FcmServer
from infra.emulators.firestore import FirestoreServer
from infra.emulators.pubsub import PubSubServer
from infra.emulators.scheduler import Scheduler
from infra.emulators.webhooks import WebhookReceiver
from infra.local.front import Forwarder
from infra.local.functions import Function, NotStarted
from infra.local.identities import Identities, identities
from infra.local.signers import Signers, signers
from infra.local.topology import (
    API,
    BACKOFF,
    TOPIC,
    WEBHOOK_BACKOFF,
    Backoff,
    caller,
    create_queue,
    create_subscriptions,
    queue,
    routes,
)

_WARM_UPS = 5  # tries: on a busy machine, Google's emulators answer late at first
_AUTH_EMULATOR = "127.0.0.1:9099"  # its presence alone makes the SDK take unsigned tokens
# By which anybody may play this stack to a backend, as he may come in by an unsigned token.
WEBHOOK_SECRET = "whsec_dGhlIHNlY3JldCBvZiB0aGUgbG9jYWwgc3RhY2s="  # noqa: S105
_TRUST = Trust(
    role_arn="arn:aws:iam::123456789012:role/unring-gateway",
    audience="unring-local",
    service_account_email="unring@unring-local.iam.gserviceaccount.com",
)


@dataclass(frozen=True, kw_only=True)
class Options:
    """How the stack differs from its default."""

    host: str = "127.0.0.1"  # of the WebSocket endpoint alone; 0.0.0.0 is every address
    port: int = 8080  # of the WebSocket endpoint; 0 takes a free one, as all others do
    project: str = "unring-local"
    google: bool = False  # Google's emulators for Firestore and Pub/Sub instead of the embedded
    signed: bool = False  # whoever calls anything is checked, by signatures and by tokens
    keys_max_age: timedelta = timedelta(hours=1)  # for which the keys of ID tokens may be kept
    sweep_every: timedelta = timedelta(minutes=1)
    backoff: Backoff = BACKOFF
    webhook_backoff: Backoff = WEBHOOK_BACKOFF
    webhook_paths: tuple[str, ...] = ()  # of a backend that is played, to which webhooks go
    gateway: apigateway.Options = API
    settings: Mapping[str, str] = field(default_factory=dict)  # environment of the functions
    faults: Faults = field(default_factory=Faults)  # Google's emulators know nothing of them
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
    backend: WebhookReceiver | None  # if it is played
    functions: Mapping[str, str]  # base URLs by name
    processes: Mapping[str, Function]
    secret: str  # by which `gateway` knows API Gateway
    values: Mapping[str, str]  # the functions' environment
    queue: PubSubServer | None  # the embedded one
    tasks: CloudTasksServer
    sweeping: Scheduler
    faults: Faults
    logs: Path  # a folder; a file for each function
    signers: Signers | None  # of a signed stack; the others take what nobody has signed
    identities: Identities

    @property
    def sdk_endpoint(self) -> str:
        """What AWS's SDKs take as the endpoint of `@connections`, whose path they add themselves.

        https://docs.aws.amazon.com/apigateway/latest/developerguide/apigateway-how-to-call-websocket-api-connections.html
        """
        return self.connections.removesuffix("/@connections")

    @property
    def socketio(self) -> str:
        """The URL for a Socket.IO client, whose default path is served too."""
        return f"http://{urlsplit(self.websocket).netloc}"

    def token(self, user: str, lifetime_seconds: int = LIFETIME_SECONDS) -> str:
        """An ID token of `user` that this stack takes; a negative lifetime makes an expired one."""
        if self.signers is None:
            project = self.values.get("FIREBASE_PROJECT", self.project)
            return unsigned_token(user, project, lifetime_seconds)
        return self.signers.users.sign(user, lifetime_seconds)

    def headers(self, function: str) -> dict[str, str]:
        """What Pub/Sub, Cloud Tasks and Cloud Scheduler show when they call `function`."""
        return self.signers.headers(self.functions[function]) if self.signers else {}

    def addresses(self) -> dict[str, str]:
        """What other programs are told; they depend on these names."""
        tokens = {"tokens": self.signers.users.tokens_url} if self.signers else {}
        return {
            "websocket": self.websocket,
            "connections": self.connections,
            "firestore": self.firestore,
            "pubsub": self.pubsub,
            "fcm": self.fcm.url,
            "project": self.project,
            "api": self.functions["api"],
            "cloudtasks": self.tasks.address,
            **tokens,
            **self.identities.addresses(),
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
        forwarder = await parts.enter_async_context(Forwarder(lambda: ready["api"], options.faults))
        routed = routes(lambda: ready["gateway"], secret)
        api = await _api_gateway(parts, options, keys, routed, forwarder)
        fcm = await parts.enter_async_context(FcmServer(faults=options.faults))
        signing = await _signing(parts, options)
        played = await identities(parts, options.settings)
        google_services = await _google_services(parts, options, signing)
        tasks = await _cloud_tasks(parts, options, signing)
        backend = await _backend(parts, options)
        values = {
            "GOOGLE_CLOUD_PROJECT": options.project,
            "EVENTS_TOPIC": TOPIC,
            "GATEWAY_SECRET": secret,
            "API_KEY": _api_key(options),
            "RING_TOKEN_SECRET": secrets.token_urlsafe(32),
            "CONNECTIONS_URL": api.connections_url,
            "FCM_URL": fcm.url,
            "WEBHOOK_SECRET": WEBHOOK_SECRET,
            "WEBHOOK_PRIVATE_ADDRESSES": "allowed",
            "TASKS_QUEUE": queue(options.project),
            "TASKS_SERVICE_ACCOUNT": caller(options.project),
            "CLOUD_TASKS_EMULATOR_HOST": tasks.address,
            **google_services.settings(),
            **_identity_settings(signing),
            **played.settings(),
            **({"WEBHOOK_URLS": _told(backend, options)} if backend else {}),
            **(await _aws_settings(parts, keys, options) if keys is not None else {}),
            **options.settings,
        }
        processes: dict[str, Function] = {}
        fronts = await _fronts(parts, values, processes, signing)
        if fronts:
            values = {"TASKS_URL": fronts["ring"], **values}
        processes.update(await _start_functions(parts, values, options.logs))
        urls = {name: process.url for name, process in processes.items()}
        await _warm_up(urls, options.logs)
        urls |= fronts
        await create_queue(tasks.address, options.project, options.backoff)
        await create_subscriptions(
            google_services.pubsub,
            options.project,
            urls,
            options.backoff,
            options.webhook_backoff,
            webhooks(values),
        )
        ready.update(urls)
        sweeping = Scheduler(
            urls["sweep"],
            options.sweep_every,
            lambda: stack.headers("sweep"),
            job="sweep",
            faults=options.faults,
        )
        stack = Stack(
            websocket=api.websocket_url,
            connections=api.connections_url,
            firestore=google_services.firestore,
            pubsub=google_services.pubsub,
            project=options.project,
            fcm=fcm,
            backend=backend,
            functions=urls,
            processes=processes,
            values=values,
            queue=google_services.queue,
            tasks=tasks,
            sweeping=sweeping,
            faults=options.faults,
            secret=secret,
            logs=options.logs,
            signers=signing,
            identities=played,
        )
        parts.enter_context(sweeping)
        yield stack


def _api_key(options: Options) -> str:
    """What a backend shows to `api`, which clients reach, too. All may know it only where anybody
    may come in as whomever he likes."""
    takes_unsigned = "firebase" in options.settings.get("IDENTITY", "firebase")
    return "local" if takes_unsigned and not options.signed else secrets.token_urlsafe(32)


async def _backend(parts: AsyncExitStack, options: Options) -> WebhookReceiver | None:
    if not options.webhook_paths:
        return None
    backend = WebhookReceiver(WEBHOOK_SECRET, faults=options.faults)
    return await parts.enter_async_context(backend)


def _told(backend: WebhookReceiver, options: Options) -> str:
    return ",".join(f"{backend.url}{path}" for path in options.webhook_paths)


def webhooks(values: Mapping[str, str]) -> tuple[str, ...]:
    """The URLs that webhooks go to. Without any, their function is not there."""
    said = (each.strip() for each in values.get("WEBHOOK_URLS", "").split(","))
    return tuple(each for each in said if each)


@asynccontextmanager
async def passing_stack(
    google: bool = False, webhook_paths: tuple[str, ...] = (), **settings: str
) -> AsyncIterator[Stack]:
    """A stack on free ports that leaves nothing behind, its logs neither. Raises NotStarted."""
    with tempfile.TemporaryDirectory(prefix="unring-") as folder:
        options = Options(
            port=0,
            google=google,
            webhook_paths=webhook_paths,
            settings=settings,
            logs=Path(folder),
        )
        async with running(options) as stack:
            yield stack


async def _api_gateway(
    parts: AsyncExitStack,
    options: Options,
    keys: AccessKeys | None,
    routed: Mapping[str, apigateway.Route],
    forwarder: Forwarder,
) -> ApiGateway:
    api = ApiGateway(routed, options.gateway, keys, options.faults, beside=forwarder)
    try:
        await api.start(options.host, options.port)
    except OSError as error:
        raise NotStarted(_not_listening(options, error)) from error
    parts.push_async_callback(api.stop)
    return api


def _not_listening(options: Options, error: OSError) -> str:
    if error.errno == errno.EADDRINUSE:
        return (
            f"Can't listen on port {options.port}: {os.strerror(errno.EADDRINUSE)}.\n"
            "Choose another with --port, or PORT=… of make run; 0 takes a free one."
        )
    reason = error.strerror or str(error)
    return f"Can't listen on {options.host}, port {options.port}: {reason}."


async def _signing(parts: AsyncExitStack, options: Options) -> Signers | None:
    if not options.signed:
        return None
    if options.google:
        raise NotStarted(
            "Google's Pub/Sub emulator shows no token: --signed can't go with --google."
        )
    max_age = int(options.keys_max_age.total_seconds())
    return await parts.enter_async_context(signers(options.project, max_age, options.faults))


def _identity_settings(signing: Signers | None) -> dict[str, str]:
    if signing is None:
        return {"FIREBASE_AUTH_EMULATOR_HOST": _AUTH_EMULATOR}
    return {"ID_TOKEN_KEYS_URL": signing.users.url}


@dataclass(frozen=True)
class _GoogleServices:
    """The addresses of Firestore and Pub/Sub."""

    firestore: str
    functions_firestore: str  # where faults befall the functions alone
    pubsub: str
    queue: PubSubServer | None = None  # the embedded one

    def settings(self) -> dict[str, str]:
        return {
            "FIRESTORE_EMULATOR_HOST": self.functions_firestore,
            "PUBSUB_EMULATOR_HOST": self.pubsub,
        }


async def _google_services(
    parts: AsyncExitStack, options: Options, signing: Signers | None
) -> _GoogleServices:
    if options.google:
        try:
            # One after the other: of two at once, one that failed would leave the other behind.
            firestore = await parts.enter_async_context(google.firestore_emulator())
            pubsub = await parts.enter_async_context(google.pubsub_emulator(options.project))
        except google.EmulatorError as error:
            raise NotStarted(str(error)) from error
        return _GoogleServices(firestore, firestore, pubsub)
    documents = await parts.enter_async_context(FirestoreServer())
    faulty = await parts.enter_async_context(
        FirestoreServer(beside=documents, interceptors=[FaultyRpcs(options.faults, "firestore")])
    )
    messages = await parts.enter_async_context(
        PubSubServer(
            interceptors=[FaultyRpcs(options.faults, "pubsub")],
            faults=options.faults,
            sign=signing.callers.sign if signing else unsigned,
        )
    )
    return _GoogleServices(documents.address, faulty.address, messages.address, messages)


async def _cloud_tasks(
    parts: AsyncExitStack, options: Options, signing: Signers | None
) -> CloudTasksServer:
    """Always ours: Google has no emulator of it."""
    server = CloudTasksServer(
        interceptors=[FaultyRpcs(options.faults, "cloudtasks")],
        faults=options.faults,
        sign=signing.callers.sign if signing else unsigned,
    )
    return await parts.enter_async_context(server)


async def _aws_settings(
    parts: AsyncExitStack, keys: AccessKeys, options: Options
) -> dict[str, str]:
    aws = await parts.enter_async_context(AwsCredentials(keys, _TRUST))
    return {
        "AWS_REGION": options.gateway.region,
        "AWS_ROLE_ARN": _TRUST.role_arn,
        "AWS_TOKEN_AUDIENCE": _TRUST.audience,
        "AWS_ENDPOINT_URL_STS": aws.sts_url,
        "GCE_METADATA_HOST": aws.metadata_host,
    }


async def _start_functions(
    parts: AsyncExitStack, values: Mapping[str, str], logs: Path
) -> dict[str, Function]:
    """Starts as many of them at a time as there are CPUs, and has all end at once."""
    functions = {name: Function(name, values, logs) for name in _names(values)}
    # To start is all work. More at a time would be no sooner there, and would leave nothing to
    # whoever else works on this machine, such as another stack.
    cpus = asyncio.Semaphore(os.cpu_count() or 1)

    async def start(function: Function) -> None:
        async with cpus:
            await function.start()

    async def stop() -> None:
        await asyncio.gather(*(each.stop() for each in functions.values()))

    parts.push_async_callback(stop)
    started = await asyncio.gather(
        *(start(each) for each in functions.values()), return_exceptions=True
    )
    for result in started:
        if result is not None:
            raise result
    return functions


def _names(values: Mapping[str, str]) -> list[str]:
    """The functions that there are."""
    return [name for name in FUNCTIONS if name != "webhook" or webhooks(values)]


async def _fronts(
    parts: AsyncExitStack,
    values: Mapping[str, str],
    processes: Mapping[str, Function],
    signing: Signers | None,
) -> dict[str, str]:
    """The URLs by which others call the functions of a signed stack, which `ring` must know of
    itself before it starts. `processes` are there when somebody calls."""
    if signing is None:
        return {}
    fronts = signing.fronts(_names(values), lambda name: processes[name].url)
    return await parts.enter_async_context(fronts)


async def _warm_up(urls: Mapping[str, str], logs: Path) -> None:
    """As Cloud Run's startup probe does, so that the first frame meets open channels."""

    async def get(name: str, url: str) -> None:
        for tries_left in reversed(range(_WARM_UPS)):
            try:
                (await http.get(url)).raise_for_status()
                return
            except httpx.HTTPError as error:
                if tries_left:
                    continue
                log = (logs / f"{name}.log").read_text(errors="replace")
                raise NotStarted(f"{name} can't reach its services:\n{log[-2000:]}") from error

    async with httpx.AsyncClient(timeout=30, trust_env=False) as http:
        await asyncio.gather(*(get(name, url) for name, url in urls.items()))
