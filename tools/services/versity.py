"""VersityGW, a second S3 server, of another make: objects are files of a folder."""

from tools.services.fetch import built, has
from tools.services.s3 import KEY, S3Server
from tools.services.server import HOST, Launch

MODULE = "github.com/versity/versitygw/cmd/versitygw"
VERSION = "v1.8.0"


class Versity(S3Server):
    """VersityGW on one folder; what a file system cannot hold of an object is kept in a folder beside."""

    name = "versity"
    variable = "TICKHOUSE_TEST_S3_SECOND"

    def fetch(self) -> None:
        built("versitygw", MODULE, VERSION)

    def have(self) -> bool:
        return has(f"versitygw-{VERSION}")

    def make(self) -> None:
        (self.folder / "data").mkdir()
        (self.folder / "beside").mkdir()

    def launch(self) -> Launch:
        command = [str(built("versitygw", MODULE, VERSION)), "--port", f"{HOST}:{self.inner}"]
        command += ["posix", "--sidecar", str(self.folder / "beside"), str(self.folder / "data")]
        return Launch(command, {"ROOT_ACCESS_KEY": KEY, "ROOT_SECRET_KEY": self.secret})
