"""The worker of the training service: `python -m services.training.worker`."""

from shared.worker import main

if __name__ == "__main__":
    main("training")
