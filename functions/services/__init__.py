"""The outside world, one module for each service, built on first use."""
