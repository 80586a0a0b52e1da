"""Steps of the quality service, found by import."""
