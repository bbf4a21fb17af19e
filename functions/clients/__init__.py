"""What of a user can be reached: his connections and his devices. Pure."""
