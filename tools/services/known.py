"""Every server there is, by its name."""

from tools.services.guarded import GuardedKafka
from tools.services.kafka import Kafka
from tools.services.minio import Minio
from tools.services.old import OLD
from tools.services.postgres import Postgres
from tools.services.redis import Redis
from tools.services.scram import ScramKafka
from tools.services.server import Server
from tools.services.valkey import Valkey
from tools.services.versity import Versity

SERVERS: dict[str, type[Server]] = {server.name: server for server in (Postgres, Redis, Kafka, Minio, Versity)}
# Those that single tests start for themselves.
PRIVATE: dict[str, type[Server]] = {server.name: server for server in (GuardedKafka, ScramKafka)}
# Those that `make services` does not fetch: whoever starts one fetches it.
FETCHED: dict[str, type[Server]] = {**OLD, Valkey.name: Valkey}
