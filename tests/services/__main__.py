"""`python -m tests.services`: both services for trying things by hand, until Ctrl-C or SIGTERM."""

from __future__ import annotations

import asyncio
import signal
import sys

from tests.services.postgresql import postgresql
from tests.services.valkey import valkey


def main() -> None:
    """Print the settings that point Longcode at the services, and keep them up."""
    # Blocked before anything starts, so that a Ctrl-C meanwhile waits for its turn.
    endings = {signal.SIGINT, signal.SIGTERM}
    signal.pthread_sigmask(signal.SIG_BLOCK, endings)
    with postgresql() as database, valkey() as cache:
        url = asyncio.run(database.create_database("longcode"))
        sys.stdout.write(f"export LONGCODE_DATABASE_URL={url}\nexport LONGCODE_REDIS_URL={cache.url}\n")
        sys.stdout.flush()
        signal.sigwait(endings)


if __name__ == "__main__":
    main()
