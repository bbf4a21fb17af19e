"""The whole system in memory, on a clock of its own: one seed plays, and replays, one schedule."""
