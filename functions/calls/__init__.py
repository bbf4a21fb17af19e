"""The rules of a call. Pure: no clock, no network, no ids made inside."""
