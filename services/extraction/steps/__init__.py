"""Steps of the extraction service, found by import."""
