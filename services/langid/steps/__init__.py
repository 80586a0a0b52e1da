"""Steps of the langid service, found by import."""
