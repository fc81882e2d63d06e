"""Redis behind TLS: with its certificate it is spoken to, without it nothing is said to it, least of all the password."""

import datetime
import ipaddress

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from redis.exceptions import ResponseError
from tools.services.server import free_port

from tests.stores.samples import ticks
from tickhouse.core.errors import Unreachable
from tickhouse.core.plugins import open_url


def certificate(folder):
    """A certificate of this machine, signed by itself, and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    now = datetime.datetime.now(datetime.UTC)
    names = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    made = x509.CertificateBuilder(
        name, name, key.public_key(), x509.random_serial_number(), now, now + datetime.timedelta(1)
    )
    signed = made.add_extension(names, critical=False).sign(key, hashes.SHA256())
    form = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    files = folder / "certificate.pem", folder / "key.pem"
    files[0].write_bytes(signed.public_bytes(serialization.Encoding.PEM))
    files[1].write_bytes(key.private_bytes(*form))
    return files


def test_a_server_behind_tls_is_known_by_its_certificate(private_server, tmp_path):
    server, port = private_server("redis"), free_port()
    shown, key = certificate(tmp_path)
    plain = open_url("stores", server.url)
    client = plain.address.connect()
    try:
        client.execute_command(
            "CONFIG", "SET", "tls-cert-file", str(shown), "tls-key-file", str(key), "tls-auth-clients", "no", "tls-port", port
        )  # fmt: skip
    except ResponseError as error:
        pytest.skip(f"this Redis speaks no TLS: {error}")
    finally:
        client.close()
        plain.close()
    url = f"rediss://:{server.secret}@127.0.0.1:{port}/0"
    hot = open_url("stores", f"{url}?ssl_ca_certs={shown}&prefix=tls")
    hot.ticks(ticks({"symbol": "A", "price": 3.0}))
    assert hot.flush()
    changes = hot.follow()
    assert changes.next(0.05) is None
    changes.close()
    assert "answers" in hot.check()
    hot.close()
    stranger = open_url("stores", f"{url}?prefix=tls")
    with pytest.raises(Unreachable, match="certificate"):
        stranger.check()
    assert stranger.latest() == []
    stranger.close()
