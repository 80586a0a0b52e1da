"""What the parts of the gateway share: store, catalog, leases, conductor, queue rates."""

import time
from collections import deque
from dataclasses import dataclass, field

from services.gateway.catalog import Catalog
from services.gateway.conductor import Conductor
from services.gateway.limits import Limiter
from services.gateway.tokens import Tokens
from shared import worker
from shared.leases import Leases
from shared.settings import Settings
from shared.store import Store

#: Rates are measured over at most this long.
RATE_WINDOW_SECONDS = 60.0


@dataclass
class Gateway:
    """The gateway's parts."""

    conf: Settings
    store: Store
    leases: Leases
    catalog: Catalog
    conductor: Conductor
    rates: "QueueRates"
    tokens: Tokens
    limiter: Limiter


@dataclass
class QueueRates:
    """Tasks a second by queue, from samples of the workers' counters."""

    leases: Leases
    samples: deque[tuple[float, dict[str, int]]] = field(default_factory=deque)

    def sample(self) -> dict[str, float]:
        """Take a sample; returns tasks a second since the oldest sample kept."""
        now = time.monotonic()
        done = {s: self.leases.counts(s).get("done", 0) for s in worker.SERVICES}
        self.samples.append((now, done))
        while len(self.samples) > 2 and now - self.samples[0][0] > RATE_WINDOW_SECONDS:
            self.samples.popleft()
        then, before = self.samples[0]
        if now == then:
            return dict.fromkeys(done, 0.0)
        return {s: round(max(0, done[s] - before[s]) / (now - then), 3) for s in done}


def open_gateway(conf: Settings) -> Gateway:
    """Connect; raises PermanentError where the store cannot commit safely."""
    store = worker.store()
    store.check_conditional_writes()
    leases = worker.leases()
    catalog = Catalog(store)
    conductor = Conductor(catalog, leases, conf)
    limiter = Limiter(leases.redis, conf.rate_limit)
    rates = QueueRates(leases)
    return Gateway(conf, store, leases, catalog, conductor, rates, Tokens(store), limiter)
