"""What the parts of the gateway share: store, catalog, leases, conductor, queues' figures."""

from dataclasses import dataclass

from services.gateway.catalog import Catalog
from services.gateway.collector import GatewayCollector
from services.gateway.conductor import Conductor
from services.gateway.figures import Figures
from services.gateway.limits import Limiter
from services.gateway.tokens import Tokens
from shared import worker
from shared.leases import Leases
from shared.settings import Settings
from shared.store import Store


@dataclass
class Gateway:
    """The gateway's parts."""

    conf: Settings
    store: Store
    leases: Leases
    catalog: Catalog
    conductor: Conductor
    figures: Figures
    collector: GatewayCollector
    tokens: Tokens
    limiter: Limiter


def open_gateway(conf: Settings) -> Gateway:
    """Connect; raises PermanentError where the store cannot commit safely."""
    store = worker.store()
    store.check_conditional_writes()
    leases = worker.leases()
    catalog = Catalog(store)
    conductor = Conductor(catalog, leases, conf)
    limiter = Limiter(leases.redis, conf.rate_limit)
    figures = Figures(leases)
    collector = GatewayCollector(catalog, conductor, figures, leases)
    return Gateway(
        conf, store, leases, catalog, conductor, figures, collector, Tokens(store), limiter
    )
