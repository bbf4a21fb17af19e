"""How a user is reached: by his connections and his devices. Pure."""
