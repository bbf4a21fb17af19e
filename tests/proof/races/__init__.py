"""Races: everything at once against a model of a dozen lines, and accept against cancel."""
