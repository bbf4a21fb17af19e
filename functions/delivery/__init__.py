"""The path of a signal, and of the event that it causes."""
