"""The worker of the langid service: `python -m services.langid.worker`."""

from shared.worker import main

if __name__ == "__main__":
    main("langid")
