"""Firebase Cloud Messaging on one machine: HTTP v1 with an inbox, and its errors on demand."""

from infra.emulators.fcm.server import FcmServer

__all__ = ["FcmServer"]
