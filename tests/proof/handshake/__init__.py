"""The handshake of Socket.IO clients with default options, while a function that serves it dies."""
