"""The clouds' services, played on one machine: what they are in the cloud, whoever uses them."""
