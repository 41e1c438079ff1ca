"""Downloads against a server on this machine: mirrors, resume, broken transfers, checksums."""

import gzip
import hashlib
import os
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from under_test import IS_TORCH

if IS_TORCH:
    pytest.skip("torchvision is another package", allow_module_level=True)
from flambeau.vision import datasets
from flambeau.vision.datasets import _download
from flambeau.vision.datasets._download import DownloadError, download_file
from test_vision_datasets import DATA

CONTENT = bytes(range(256)) * 800
MD5 = hashlib.md5(CONTENT).hexdigest()


class Server(BaseHTTPRequestHandler):
    """/good; /break stops half way, again and again; /noresume; /wrong; /short; other: 404."""

    def log_message(self, *args):
        pass

    def do_GET(self):
        self.server.asked.append((self.path, self.headers.get("Range")))
        kind = self.path.split("/")[1]
        if kind not in ("good", "break", "noresume", "wrong", "mnist"):
            self.send_error(404)
            return
        body = CONTENT if kind != "wrong" else b"wrong" * 100
        if kind == "mnist":
            body = self.server.files[self.path.split("/")[2]]
        start = 0
        asked = self.headers.get("Range")
        if asked and kind != "noresume":
            start = int(asked.removeprefix("bytes=").removesuffix("-"))
            if start >= len(body):
                self.send_error(416)
                return
            self.send_response(206)
            self.send_header("Content-Range", f"bytes {start}-{len(body) - 1}/{len(body)}")
        else:
            self.send_response(200)
        rest = body[start:]
        self.send_header("Content-Length", str(len(rest)))
        self.end_headers()
        self.wfile.write(rest[:90_000] if kind == "break" else rest)


@pytest.fixture
def server():
    made = ThreadingHTTPServer(("127.0.0.1", 0), Server)
    made.asked, made.files = [], {}
    thread = threading.Thread(target=made.serve_forever, daemon=True)
    thread.start()
    yield made
    made.shutdown()
    made.server_close()


def url(server, path):
    return f"http://127.0.0.1:{server.server_port}/{path}"


def test_simple_download(server, tmp_path, capsys):
    path = str(tmp_path / "sub" / "x.bin")
    download_file([url(server, "good/x")], path, MD5)
    assert open(path, "rb").read() == CONTENT and os.listdir(tmp_path / "sub") == ["x.bin"]


def test_broken_transfer_is_continued(server, tmp_path):
    path = str(tmp_path / "x.bin")
    download_file([url(server, "break/x")], path, MD5)
    assert open(path, "rb").read() == CONTENT
    assert [r for _, r in server.asked] == [None, "bytes=90000-", "bytes=180000-"]


def test_remnant_of_an_earlier_run_is_continued(server, tmp_path):
    path = tmp_path / "x.bin"
    (tmp_path / "x.bin.part").write_bytes(CONTENT[:1000])
    download_file([url(server, "good/x")], str(path), MD5)
    assert server.asked == [("/good/x", "bytes=1000-")] and path.read_bytes() == CONTENT
    (tmp_path / "x.bin.part").write_bytes(b"y" * 1000)
    download_file([url(server, "noresume/x")], str(path), MD5)
    assert path.read_bytes() == CONTENT


def test_spoiled_remnant_falls_to_the_next_mirror(server, tmp_path):
    path = tmp_path / "x.bin"
    (tmp_path / "x.bin.part").write_bytes(b"y" * 1000)
    download_file([url(server, "good/1"), url(server, "good/2")], str(path), MD5)
    assert path.read_bytes() == CONTENT
    (tmp_path / "x.bin.part").write_bytes(bytes(len(CONTENT) + 5))
    download_file([url(server, "good/1"), url(server, "good/2")], str(path), MD5)
    assert path.read_bytes() == CONTENT


def test_mirrors_and_checksums(server, tmp_path):
    path = tmp_path / "x.bin"
    urls = [url(server, "absent/x"), url(server, "wrong/x"), url(server, "good/x")]
    download_file(urls, str(path), MD5)
    assert path.read_bytes() == CONTENT
    path.unlink()
    with pytest.raises(DownloadError) as caught:
        download_file(urls[:2], str(path), MD5)
    assert "404" in str(caught.value) and "wrong MD5" in str(caught.value)
    assert os.listdir(tmp_path) == []


def test_no_network(tmp_path, monkeypatch):
    class Far(datasets.MNIST):
        mirrors = ["http://127.0.0.1:9/"]

    with pytest.raises(RuntimeError) as caught:
        Far(tmp_path, download=True)
    for part in (
        "put these files into",
        "Far",
        "train-images-idx3-ubyte.gz",
        "MD5 f68b3c2d",
        ":9/",
    ):
        assert part in str(caught.value)


def test_mnist_downloads_once(server, tmp_path):
    for name, _ in datasets.MNIST.resources[2:]:
        server.files[name] = open(os.path.join(DATA, "MNIST", "raw", name), "rb").read()
    for name, _ in datasets.MNIST.resources[:2]:
        server.files[name] = server.files[name.replace("train", "t10k")]

    class Near(datasets.MNIST):
        mirrors = [url(server, "mnist/")]
        resources = [(n, hashlib.md5(d).hexdigest()) for n, d in sorted(server.files.items())]

    assert len(Near(tmp_path, train=False, download=True)) == 10_000
    asked = len(server.asked)
    assert asked == 4 and len(Near(tmp_path, download=True)) == 10_000
    assert len(server.asked) == asked, "the second time asks no server"


def test_repository_needs_no_server(monkeypatch):
    monkeypatch.setattr("flambeau.vision.datasets.mnist.download_file", lambda *a: 1 / 0)
    assert len(datasets.MNIST(DATA, train=False, download=True)) == 10_000


def test_endless_server_is_stopped(server, tmp_path, monkeypatch):
    monkeypatch.setattr(_download, "_MAX_BYTES", 1000)
    with pytest.raises(DownloadError, match="more than 1000"):
        download_file([url(server, "good/x")], str(tmp_path / "x"), MD5)


def test_plain_progress_bar():
    import io

    from flambeau.vision._progress import PlainBar

    out = io.StringIO()
    bar = PlainBar(2_000_000, "file", out=out)
    bar.update(1_000_000)
    bar.close()
    assert "1.0 MB of 2.0 MB [##########..........]" in out.getvalue()


def test_checksums_of_the_unpacked_digits():
    want = {"t10k-labels-idx1-ubyte.gz": "27ae3e4e09519cfbb04c329615203637",
            "train-labels-idx1-ubyte.gz": "a25bea736e30d166cdddb491f175f624"}  # fmt: skip
    for name, md5 in want.items():
        with gzip.open(os.path.join(DATA, "MNIST", "raw", name)) as f:
            assert hashlib.md5(f.read()).hexdigest() == md5
