"""The worker of the extraction service: `python -m services.extraction.worker`."""

from shared.worker import main

if __name__ == "__main__":
    main("extraction")
