"""Steps of the deduplication service, found by import."""
