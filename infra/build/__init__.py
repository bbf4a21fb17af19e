"""What Cloud Build runs, and what to run before it for the first time."""
