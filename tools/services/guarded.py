"""Kafka as guarded brokers are: clients come by TLS, and with a user's name and password (SASL PLAIN)."""

import shutil
import socket
import ssl
import struct
import subprocess
from contextlib import ExitStack
from pathlib import Path

from tools.services.kafka import Kafka, ask
from tools.services.server import HOST, NotReady

USER = "tickhouse"
HANDSHAKE, AUTHENTICATE = (17, 1), (36, 0)
"""The requests that give a password: their keys and versions."""


class GuardedKafka(Kafka):
    """A Kafka of which a client has to know the certificate (`certificate`), the user's name and the password (`secret`)."""

    name = "kafka-guarded"
    variable = "TICKHOUSE_TEST_KAFKA_GUARDED"
    user = USER

    @property
    def certificate(self) -> Path:
        """The certificate that it shows, signed by itself."""
        return self.folder / "certificate.pem"

    def make(self) -> None:
        super().make()
        self._keytool("-genkeypair", "-keyalg", "EC", "-dname", "CN=localhost", "-ext", f"san=ip:{HOST},dns:localhost")
        self._keytool("-exportcert", "-rfc", "-file", str(self.certificate))

    def settings(self) -> str:
        login = f'username="{USER}" password="{self.secret}" user_{USER}="{self.secret}"'
        return f"""
listener.security.protocol.map=CLIENTS:SASL_SSL,CONTROLLER:PLAINTEXT
sasl.enabled.mechanisms=PLAIN
sasl.mechanism.inter.broker.protocol=PLAIN
listener.name.clients.plain.sasl.jaas.config=org.apache.kafka.common.security.plain.PlainLoginModule required {login};
ssl.keystore.location={self._keys}
ssl.keystore.password={self.secret}
ssl.truststore.location={self.certificate}
ssl.truststore.type=PEM
"""

    def enter(self) -> socket.socket:
        """A connection by TLS on which the password was taken; raises `NotReady` where it is not."""
        with ExitStack() as failing:
            plain = failing.enter_context(super().enter())
            talk = ssl.create_default_context(cafile=str(self.certificate)).wrap_socket(plain, server_hostname=HOST)
            failing.enter_context(talk)
            ask(talk, *HANDSHAKE, struct.pack(">h", len(b"PLAIN")) + b"PLAIN")
            proof = f"\0{USER}\0{self.secret}".encode()
            said = ask(talk, *AUTHENTICATE, struct.pack(">i", len(proof)) + proof)
            if said[:2] != b"\0\0":
                raise NotReady("kafka does not take the password")
            failing.pop_all()
        return talk

    @property
    def _keys(self) -> Path:
        return self.folder / "keys.p12"

    def _keytool(self, *words: str) -> None:
        tool = Path(shutil.which("java") or "java").resolve().with_name("keytool")
        where = ("-alias", "kafka", "-keystore", str(self._keys), "-storetype", "PKCS12", "-storepass", self.secret)
        done = subprocess.run([str(tool), *words, *where], capture_output=True, text=True, check=False)
        if done.returncode:
            raise NotReady(f"keytool failed: {(done.stdout or done.stderr).strip()}")
