"""As much of S3 as pgBackRest uses, over TLS: s3.py PORT CERTIFICATE KEY DIRECTORY ACCESS_KEY SECRET_FILE

Each directory in DIRECTORY is a bucket, addressed by the path of a request. Signatures are checked (AWS Signature Version 4).
"""

import hashlib
import hmac
import pathlib
import ssl
import sys
import urllib.parse
import uuid
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from xml.etree import ElementTree
from xml.sax.saxutils import escape

PORT, CERTIFICATE, KEY, DIRECTORY, ACCESS_KEY, SECRET_FILE = sys.argv[1:]
SECRET = pathlib.Path(SECRET_FILE).read_text().strip()
BUCKETS = pathlib.Path(DIRECTORY)
UPLOADS = {}


class Refused(Exception):
    def __init__(self, status, code, message):
        self.status, self.content = status, f"<Error><Code>{code}</Code><Message>{message}</Message></Error>"


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def answer(self):
        body = self.rfile.read(int(self.headers.get("content-length", 0)))
        path, query = (self.path + "?").split("?")[:2]
        asked = dict(urllib.parse.parse_qsl(query, keep_blank_values=True))
        try:
            self.authorize(path, query)
            bucket, key = (urllib.parse.unquote(path).lstrip("/") + "/").split("/", 1)
            key = key.removesuffix("/")
            if not bucket or not (BUCKETS / bucket).is_dir():
                raise Refused(404, "NoSuchBucket", "The specified bucket does not exist")
            status, content = getattr(self, self.command.lower())(BUCKETS / bucket, key, asked, body)
        except Refused as refused:
            status, content = refused.status, refused.content
        content = content.encode() if isinstance(content, str) else content
        self.send_response(status)
        self.send_header("content-length", str(len(content)))
        self.send_header("last-modified", self.date_time_string())
        self.send_header("etag", f'"{hashlib.md5(body).hexdigest()}"')
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def log_message(self, *words):
        """Nobody reads it."""

    do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = answer

    def authorize(self, path, query):
        fields = dict(part.strip().split("=", 1) for part in self.headers["authorization"].split(" ", 1)[1].split(","))
        access_key, scope = fields["Credential"].split("/", 1)
        if access_key != ACCESS_KEY:
            raise Refused(403, "InvalidAccessKeyId", "The access key is not known")
        names = fields["SignedHeaders"]
        headers = "".join(f"{name}:{self.headers[name].strip()}\n" for name in names.split(";"))
        request = "\n".join([self.command, path, query, headers, names, self.headers["x-amz-content-sha256"]])
        digest = hashlib.sha256(request.encode()).hexdigest()
        text = "\n".join(["AWS4-HMAC-SHA256", self.headers["x-amz-date"], scope, digest])
        key = ("AWS4" + SECRET).encode()
        for part in [*scope.split("/"), text]:
            key = hmac.digest(key, part.encode(), "sha256")
        if key.hex() != fields["Signature"]:
            raise Refused(403, "SignatureDoesNotMatch", "The signature is not that of the secret")

    def get(self, bucket, key, asked, body):
        if not key:
            return 200, self.listing(bucket, asked["prefix"], asked.get("delimiter"))
        if not (bucket / key).is_file():
            raise Refused(404, "NoSuchKey", "The specified key does not exist")
        content = (bucket / key).read_bytes()
        if "range" not in self.headers:
            return 200, content
        first, last = self.headers["range"].removeprefix("bytes=").split("-")
        return 206, content[int(first) : int(last) + 1 if last else None]

    head = get

    def listing(self, bucket, prefix, delimiter):
        files = [file for file in bucket.rglob("*") if file.is_file()]
        keys = {str(file.relative_to(bucket)): file.stat().st_size for file in files}
        content, prefixes = "", set()
        for key in sorted(key for key in keys if key.startswith(prefix)):
            rest = key[len(prefix) :]
            if delimiter and delimiter in rest:
                prefixes.add(prefix + rest.split(delimiter)[0] + delimiter)
            else:
                content += f"<Contents><Key>{escape(key)}</Key><LastModified>2026-01-01T00:00:00.000Z</LastModified>"
                content += f"<Size>{keys[key]}</Size></Contents>"
        content += "".join(f"<CommonPrefixes><Prefix>{escape(one)}</Prefix></CommonPrefixes>" for one in sorted(prefixes))
        return f"<ListBucketResult><IsTruncated>false</IsTruncated>{content}</ListBucketResult>"

    def put(self, bucket, key, asked, body):
        if "uploadId" in asked:
            UPLOADS[asked["uploadId"]][int(asked["partNumber"])] = body
        else:
            self.store(bucket / key, body)
        return 200, ""

    def post(self, bucket, key, asked, body):
        if "delete" in asked:
            for name in ElementTree.fromstring(body).findall(".//{*}Key"):
                (bucket / name.text).unlink(missing_ok=True)
            return 200, "<DeleteResult></DeleteResult>"
        if "uploads" in asked:
            upload = uuid.uuid4().hex
            UPLOADS[upload] = {}
            return 200, f"<InitiateMultipartUploadResult><UploadId>{upload}</UploadId></InitiateMultipartUploadResult>"
        parts = UPLOADS.pop(asked["uploadId"])
        self.store(bucket / key, b"".join(parts[number] for number in sorted(parts)))
        return 200, "<CompleteMultipartUploadResult><ETag>whole</ETag></CompleteMultipartUploadResult>"

    def delete(self, bucket, key, asked, body):
        (bucket / key).unlink(missing_ok=True)
        return 204, ""

    def store(self, file, content):
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)


server = ThreadingHTTPServer(("127.0.0.1", int(PORT)), Handler)
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(CERTIFICATE, KEY)
# The handshake is the handler's: a client that says nothing keeps no other one waiting.
server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
server.serve_forever()
