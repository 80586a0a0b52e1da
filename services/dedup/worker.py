"""The worker of the dedup service: `python -m services.dedup.worker`."""

from shared.worker import main

if __name__ == "__main__":
    main("dedup")
