"""Steps of the export service, found by import."""
