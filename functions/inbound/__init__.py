"""What calls us, as it looks: API Gateway's requests, Pub/Sub's deliveries, clients' frames."""
