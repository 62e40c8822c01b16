"""Files from a folder, else from upstream (here on loopback), once, checksum verified."""

import hashlib
import http.server
import threading

import pytest

from tasks.sources import DataError, SourceFile, find, sha256

CONTENT = "id\tdocument\tlabel\n1\t좋다\t1\n".encode()


@pytest.fixture
def upstream():
    """A server on loopback: its address, its files and the paths it was asked for."""
    files, asked = {}, []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            asked.append(self.path)
            content = files.get(self.path)
            self.send_response(404 if content is None else 200)
            self.end_headers()
            self.wfile.write(content or b"")

        def log_message(self, *args):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}", files, asked
    server.shutdown()
    server.server_close()


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("HEAD2HEAD_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def source(address, content=CONTENT):
    return SourceFile(
        "corpus/train.txt", f"{address}/train.txt", hashlib.sha256(content).hexdigest()
    )


def kept(cache):
    return [path for path in cache.rglob("*") if path.is_file()]


def test_downloaded_once(upstream, cache):
    address, files, asked = upstream
    files["/train.txt"] = CONTENT
    for _ in range(2):
        path = find(source(address), None)
        assert path == cache / "corpus" / "train.txt"
        assert path.read_bytes() == CONTENT
    assert asked == ["/train.txt"]


def test_a_damaged_download_is_fetched_again(upstream, cache):
    address, files, asked = upstream
    files["/train.txt"] = CONTENT
    find(source(address), None).write_bytes(b"half")
    assert find(source(address), None).read_bytes() == CONTENT
    assert len(asked) == 2


def test_a_wrong_checksum_is_an_error_and_nothing_is_kept(upstream, cache):
    address, files, _ = upstream
    files["/train.txt"] = b"something else"
    with pytest.raises(DataError, match="another sha256") as caught:
        find(source(address), None)
    assert "\n" not in str(caught.value)
    assert "--data_dir" in str(caught.value)
    assert kept(cache) == []


def test_a_file_that_is_gone_upstream(upstream, cache):
    address, _, _ = upstream
    with pytest.raises(DataError, match=r"corpus/train\.txt.*--data_dir"):
        find(source(address), None)
    assert kept(cache) == []


def test_no_server(cache):
    with pytest.raises(DataError, match="can't be downloaded"):
        find(source("http://127.0.0.1:9"), None)
    assert kept(cache) == []


def test_a_file_at_hand_is_taken_as_it_is(upstream, cache, tmp_path, caplog):
    address, _, asked = upstream
    path = tmp_path / "data" / "corpus" / "train.txt"
    path.parent.mkdir(parents=True)
    path.write_bytes(CONTENT)
    assert find(source(address), tmp_path / "data") == path
    assert caplog.text == ""
    path.write_bytes(b"edited")
    assert find(source(address), tmp_path / "data") == path
    assert "differs from the upstream file" in caplog.text
    assert asked == []


def test_a_folder_without_the_file_falls_back_to_upstream(upstream, cache, tmp_path):
    address, files, _ = upstream
    files["/train.txt"] = CONTENT
    assert find(source(address), tmp_path).read_bytes() == CONTENT


def test_a_folder_that_is_not_there(tmp_path):
    with pytest.raises(DataError, match="no such folder"):
        find(source("http://127.0.0.1:9"), tmp_path / "nowhere")


def test_sha256(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(CONTENT)
    assert sha256(path) == hashlib.sha256(CONTENT).hexdigest()
