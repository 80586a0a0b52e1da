"""The worker of the quality service: `python -m services.quality.worker`."""

from shared.worker import main

if __name__ == "__main__":
    main("quality")
