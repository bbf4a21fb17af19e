"""Cloud Tasks on one machine: the gRPC API of unmodified clients, and tasks that are dispatched."""

from infra.emulators.cloudtasks.server import CloudTasksServer

__all__ = ["CloudTasksServer"]
