"""What is deployed: four small functions and the path between them."""
