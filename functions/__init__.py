"""The code that is deployed: four small functions, and all that they share."""
