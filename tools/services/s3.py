"""What every S3 server has in common: credentials, one bucket, and requests signed as S3 wants them (signature version 4)."""

import hashlib
import hmac
import http.client
import time
from urllib.parse import quote

from tools.services.server import HOST, NotReady, Server

KEY = "tickhouse"
BUCKET = "tickhouse"
REGION = "us-east-1"
SCOPE = ("s3", "aws4_request")


class S3Server(Server):
    """An S3 server with one bucket; in `url` the user is the key id, the password is the secret, the path is the bucket."""

    @property
    def url(self) -> str:
        return f"http://{KEY}:{self.secret}@{HOST}:{self.port}/{BUCKET}"

    def greet(self) -> None:
        """Make the bucket where it is not there, and see that it is: only a server that knows our key says so."""
        if self.ask("HEAD", f"/{BUCKET}") == 404:
            self.ask("PUT", f"/{BUCKET}")
        status = self.ask("HEAD", f"/{BUCKET}")
        if status != 200:
            raise NotReady(f"{self.name} answered {status} for its bucket")

    def ask(self, method: str, path: str, body: bytes = b"", **headers: str) -> int:
        """The status that the server gives to a signed request; underscores in names of headers are hyphens."""
        line = http.client.HTTPConnection(HOST, self.inner, timeout=5)
        extra = {name.replace("_", "-").lower(): value for name, value in headers.items()}
        try:
            line.request(method, quote(path), body, {**extra, **self._signed(method, path, body)})
            answer = line.getresponse()
            answer.read()
            return answer.status
        except http.client.HTTPException as problem:
            raise NotReady(f"{self.name} does not speak HTTP: {problem!r}") from problem
        finally:
            line.close()

    def _signed(self, method: str, path: str, body: bytes) -> dict[str, str]:
        moment = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
        digest = hashlib.sha256(body).hexdigest()
        signed = {"host": f"{HOST}:{self.inner}", "x-amz-content-sha256": digest, "x-amz-date": moment}
        names = ";".join(signed)
        lines = "".join(f"{name}:{value}\n" for name, value in signed.items())
        request = "\n".join((method, quote(path), "", lines, names, digest))
        scope = "/".join((moment[:8], REGION, *SCOPE))
        text = "\n".join(("AWS4-HMAC-SHA256", moment, scope, hashlib.sha256(request.encode()).hexdigest()))
        key = f"AWS4{self.secret}".encode()
        for part in (moment[:8], REGION, *SCOPE):
            key = hmac.digest(key, part.encode(), "sha256")
        signature = hmac.new(key, text.encode(), "sha256").hexdigest()
        proof = f"AWS4-HMAC-SHA256 Credential={KEY}/{scope}, SignedHeaders={names}, Signature={signature}"
        return {**signed, "authorization": proof}
