"""The adapters to the outside world, one module for each service. Each connects on first use."""
