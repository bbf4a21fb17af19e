"""Cloud Run, as far as it stands before a service."""
