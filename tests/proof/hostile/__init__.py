"""Hostile input: what an attacker would try, and must not achieve."""
