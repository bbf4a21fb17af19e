"""A few users with their phones and devices on a real stack, and who of them comes and goes."""

import asyncio
import base64
import uuid
from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass, field
from functools import partial

from google.cloud.firestore import AsyncClient, FieldFilter

from functions.calls.call import UserId
from functions.clients.connection import Wire
from functions.clients.device import FcmToken, device_id
from functions.collections import USUAL
from functions.services.firestore import store_of
from functions.services.firestore.database import Database
from infra.emulators.fcm.errors import FcmError
from infra.local.stack import Stack
from tests.proof.handset import JSON, Handset
from tests.proof.races.documents import until, until_gone
from tests.proof.races.model import Place
from tests.proof.races.telling import Audience, Finding, Telling
from tests.support.makers import connect

USERS, TOKENS = range(3), range(4)  # any user may register any of the tokens
DEVICES = range(2)  # of each user, as his apps call them


@dataclass(frozen=True, slots=True)
class Dial:
    user: int
    wire: str
    device: int | None = None  # on which the phone says that it is


@dataclass(frozen=True, slots=True)
class Leave:
    user: int
    killed: bool


@dataclass(frozen=True, slots=True)
class Register:
    user: int
    token: int
    device: int | None = None  # on which the phone says that it is


@dataclass(frozen=True, slots=True)
class Unregister:
    user: int
    token: int


Change = Dial | Leave | Register | Unregister


@dataclass(eq=False)
class Population:
    """Users nobody else knows: `name` begins all their ids and tokens."""

    stack: Stack
    documents: AsyncClient
    name: str
    phones: list[Handset] = field(default_factory=list)  # also those that have left

    def __post_init__(self) -> None:
        self.users = [f"{self.name}_{letter}" for letter in "ABC"]
        self._owners: dict[str, str] = {}  # of registered tokens
        self._devices: dict[str, Place] = {}  # which of them each is known to be
        # On which device each phone has been known to be, one after the other.
        self.places: dict[Handset, list[Place]] = {}
        self._dead: set[str] = set()  # tokens
        self._forgotten: set[str] = set()  # dead tokens, since a message met them
        self._ghosts: dict[str, tuple[str, str]] = {}  # connections without a socket: user, wire

    async def begin(self) -> None:
        """Gives each user a phone, and two devices.

        One of them stays for good: its messages tell when `push` is done.
        """
        for number, user in enumerate(self.users):
            phone = await self.dial(user)
            for token in (f"{user}_DEVICE", self.token(number)):
                await self._emit(phone, "register", token)

    def audience(self) -> Audience:
        living = {
            (token, user): self._devices[token]
            for token, user in self._owners.items()
            if token not in self._dead
        }
        return Audience({phone: tuple(self.places[phone]) for phone in self.open_phones()}, living)

    def open_phones(self, user: str | None = None) -> list[Handset]:
        return [phone for phone in self.phones if phone.is_open and user in (None, phone.user)]

    def free_phone(self, user: str, number: int, busy: Collection[Handset]) -> Handset | None:
        """The user's phone of that number, counted around, of those that are not busy."""
        free = [phone for phone in self.open_phones(user) if phone not in busy]
        return free[number % len(free)] if free else None

    def device(self, user: str, number: int | None) -> str | None:
        """What the user's apps call it."""
        return None if number is None else f"{user}_DEVICE_{number}"

    async def dial(self, user: str, wire: str = JSON, device: int | None = None) -> Handset:
        named = self.device(user, device)
        phone = await Handset.dial(self.stack, user, wire, named)
        self.phones.append(phone)
        self.places[phone] = [Place(named)]
        return phone

    async def apply(self, change: Change, busy: Collection[Handset] = ()) -> None:
        """Lets somebody come or go, but no phone that is busy."""
        user = self.users[change.user]
        match change:
            case Dial(_, wire, device):
                await self.dial(user, wire, device)
            case Leave(_, killed):
                if leaving := self.free_phone(user, 0, busy):
                    await (leaving.die() if killed else leaving.hang_up())
            case Register(_, token, device):
                # An app is given another token when FCM calls its own dead.
                if self.token(token) not in self._dead:
                    phone = self.free_phone(user, 0, busy) or await self.dial(user)
                    named = self.device(user, device)
                    await self._emit(phone, "register", self.token(token), named)
            case Unregister(_, token):
                phone = self.free_phone(user, 0, busy) or await self.dial(user)
                await self._emit(phone, "unregister", self.token(token))

    def kill_token(self, token: int) -> None:
        """From now on FCM says that nobody has the token any more."""
        self._dead.add(self.token(token))
        self.stack.fcm.fail(self.token(token), FcmError.UNREGISTERED)

    async def haunt(self, user: int, wire: str) -> None:
        """Leaves the document of a connection whose socket ended a minute ago."""
        id = base64.urlsafe_b64encode(uuid.uuid4().bytes[:11]).decode()
        store = store_of(Database(self.stack.project, emulator=self.stack.firestore))
        await connect(store, id, UserId(self.users[user]), wire=Wire(wire))
        self._ghosts[id] = (self.users[user], wire)

    def is_haunted(self, user: str) -> bool:
        return any(owner == user for owner, _ in self._ghosts.values())

    def expect_pruning(self, telling: Telling) -> None:
        """What is dead of the user who is told comes to light by that, and goes."""
        told = telling.tells
        self._ghosts = {id: ghost for id, ghost in self._ghosts.items() if ghost[0] != told}
        met = {
            token
            for token in self._dead
            if self._owners.get(token) == told and telling.reaches_device(self._devices[token])
        }
        self._forgotten |= met
        self._owners = {token: user for token, user in self._owners.items() if token not in met}

    async def until_forgotten(self) -> None:
        """Waits until no dead token is left that a message has met. Raises TimeoutError."""
        if self._forgotten:
            await until_gone(self.documents, "devices", map(_device, self._forgotten))

    async def check(self) -> None:
        """Looks whether Firestore holds the open phones and the registered tokens. Raises Finding.

        A dead token that no message is known to have met may be there, or not: an event that was
        repeated is pushed again, some time.
        """
        for user in self.users:
            open_wires = [phone.wire for phone in self.open_phones(user)]
            dead_wires = [wire for owner, wire in self._ghosts.values() if owner == user]
            wires = Counter(open_wires + dead_wires)
            found = await until(partial(self._fields, "connections", user, "wire"), wires)
            if found != wires:
                raise Finding("wrong", f"{user} has connections {found}, and phones {wires}")
            tokens = {token for token, owner in self._owners.items() if owner == user}
            devices = set(await self._fields("devices", user, "token"))
            if not tokens - self._dead <= devices <= tokens:
                raise Finding("wrong", f"{user} has devices {devices}, and registered {tokens}")

    async def leave(self) -> None:
        await asyncio.gather(*(phone.hang_up() for phone in self.open_phones()))

    async def _emit(self, phone: Handset, verb: str, token: str, device: str | None = None) -> None:
        more = {"platform": "android"} if verb == "register" else {}
        more |= {"deviceId": device} if device else {}
        verdict = await phone.insist(f"device:{verb}", token=token, **more)
        if verdict != {"ok": True, "outcome": f"{verb}ed"}:
            raise Finding("wrong", f"{phone} got {verdict} on device:{verb}")
        if verb == "register":
            self._owners[token] = phone.user
            self._devices[token] = Place(device, token)
            name = device or self.places[phone][-1].name
            self.places[phone].append(Place(name, token))
        elif self._owners.get(token) == phone.user:
            del self._owners[token]

    async def _fields(self, collection: str, user: str, field: str) -> Counter[str]:
        query = self.documents.collection(USUAL.named(collection)).where(
            filter=FieldFilter("userId", "==", user)
        )
        found = [snapshot.to_dict() or {} async for snapshot in query.stream()]
        # A connection may leave a document that says that it has ended.
        return Counter(str(fields.get(field)) for fields in found if "closedAt" not in fields)

    def token(self, number: int) -> str:
        return f"{self.name}_TOKEN_{number}"


def _device(token: str) -> str:
    return device_id(FcmToken(token))
