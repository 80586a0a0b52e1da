"""The worker of the export service: `python -m services.export.worker`."""

from shared.worker import main

if __name__ == "__main__":
    main("export")
