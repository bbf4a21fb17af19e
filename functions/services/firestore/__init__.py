"""Firestore: calls, clients and the outbox, in as few remote calls as they need."""

from functions.collections import USUAL, Collections
from functions.dialect.dialect import USUAL as OUR_DIALECT
from functions.dialect.dialect import Dialect
from functions.ports.store import Store
from functions.services.firestore.calls import FirestoreCalls
from functions.services.firestore.connections import FirestoreConnections
from functions.services.firestore.database import Database
from functions.services.firestore.devices import FirestoreDevices
from functions.services.firestore.outbox import FirestoreOutbox
from functions.services.firestore.polls import FirestorePolls
from functions.services.firestore.remote import Documents
from functions.settings import FunctionSettings


def connect(settings: FunctionSettings) -> Store:
    """The store in the database of the settings."""
    return store_of(
        Database(settings.project, settings.firestore_database, settings.firestore_emulator),
        Collections(settings.calls_collection, settings.collection_prefix),
        settings.dialect,
    )


def store_of(
    database: Database, collections: Collections = USUAL, dialect: Dialect = OUR_DIALECT
) -> Store:
    """The store in one database, which it connects to when something is first asked for."""
    documents = Documents(database, collections)
    return Store(
        calls=FirestoreCalls(documents, dialect),
        connections=FirestoreConnections(documents),
        devices=FirestoreDevices(documents),
        outbox=FirestoreOutbox(documents, dialect),
        polls=FirestorePolls(documents),
    )
