"""What is deployed in a test of source_path."""
