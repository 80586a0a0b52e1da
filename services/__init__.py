"""One folder a service; `shared` is all they have in common."""
