"""The app's own words for what we name: events, fields, statuses, ids and namespaces. Pure."""
