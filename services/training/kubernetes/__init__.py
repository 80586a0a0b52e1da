"""The backend `kubernetes`: a training run as an Indexed Job, followed until the run ends."""
