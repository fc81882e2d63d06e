"""MinIO, one of many S3 servers: its community edition is archived, and builds from source."""

from tools.services.fetch import built, has
from tools.services.s3 import KEY, S3Server
from tools.services.server import HOST, Launch

MODULE = "github.com/minio/minio"
VERSION = "v0.0.0-20260212201848-7aac2a2c5b7c"


class Minio(S3Server):
    """MinIO on one folder: conditional puts, multipart, versions."""

    name = "minio"
    variable = "TICKHOUSE_TEST_S3"

    def fetch(self) -> None:
        built("minio", MODULE, VERSION)

    def have(self) -> bool:
        return has(f"minio-{VERSION}")

    def make(self) -> None:
        (self.folder / "data").mkdir()

    def launch(self) -> Launch:
        command = [str(built("minio", MODULE, VERSION)), "server", str(self.folder / "data"), "--quiet"]
        command += ["--address", f"{HOST}:{self.inner}", "--certs-dir", str(self.folder / "certs")]
        env = {
            "MINIO_ROOT_USER": KEY,
            "MINIO_ROOT_PASSWORD": self.secret,
            "MINIO_BROWSER": "off",
            "MINIO_UPDATE": "off",
        }
        return Launch(command, env)
