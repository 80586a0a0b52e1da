"""The gateway as a process: `python -m services.gateway`, told where to bind by its settings."""

import sys

import uvicorn

from services.gateway.access import check_start
from shared.errors import CorpusmillError
from shared.settings import settings
from shared.store import Store

#: Requests under way have this long to end after SIGTERM.
GRACE_SECONDS = 20


def main() -> None:
    """Serve until SIGTERM."""
    conf = settings()
    try:
        check_start(conf, Store(conf.store))
    except CorpusmillError as error:
        sys.exit(f"error: {error}")
    from services.gateway.app import create_app

    uvicorn.run(
        create_app(),
        host=conf.host,
        port=conf.port,
        log_config=None,
        access_log=False,
        timeout_graceful_shutdown=GRACE_SECONDS,
    )


if __name__ == "__main__":
    main()
