"""An embedded Firestore: a gRPC server for the unmodified client, documents kept by mock-firestore.

It has no index configuration: a query that would need a composite index in the cloud is answered.
"""

from infra.emulators.firestore.server import FirestoreServer

__all__ = ["FirestoreServer"]
