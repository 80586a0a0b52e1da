"""Steps of the training service, found by import."""
