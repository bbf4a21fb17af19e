"""The inbound edge: reads API Gateway's requests, Pub/Sub's deliveries and clients' frames."""
