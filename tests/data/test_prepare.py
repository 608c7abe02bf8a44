import io
import tarfile
import threading
import zipfile
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from detres.data.prepare import PUBLIC_SETS, Archive, fetch, prepare
from detres.errors import DataError


def _tar(path: Path, name: str = "kit/list.txt") -> Archive:
    with tarfile.open(path, "w") as opened:
        for each, text in ((name, b"a list"), ("kit/b.txt", b"more")):
            member = tarfile.TarInfo(each)
            member.size = len(text)
            opened.addfile(member, io.BytesIO(text))
    return Archive(path.name, path.stat().st_size, f"http://nowhere.invalid/{path.name}", name)


def test_tars_and_zips_are_unpacked_once(tmp_path: Path) -> None:
    archive = _tar(tmp_path / "a.tar")
    with zipfile.ZipFile(tmp_path / "b.zip", "w") as opened:
        opened.writestr("train/1.jpg", "x")
    other = Archive("b.zip", (tmp_path / "b.zip").stat().st_size, "", "train/1.jpg")
    said: list[str] = []
    prepare([archive, other], tmp_path, tmp_path / "to", say=said.append)
    assert (tmp_path / "to" / "kit" / "list.txt").read_text() == "a list"
    assert (tmp_path / "to" / "train" / "1.jpg").is_file()
    (tmp_path / "a.tar").unlink()
    said.clear()
    prepare([archive, other], tmp_path, tmp_path / "to", say=said.append)
    assert said[0] == "a.tar: unpacked already"


def test_everything_missing_is_listed_before_anything_is_unpacked(tmp_path: Path) -> None:
    good = _tar(tmp_path / "a.tar")
    short = Archive("c.tar", 10**6, "http://nowhere.invalid/c.tar", "x")
    (tmp_path / "c.tar").write_bytes(b"part")
    missing = Archive("d.tar", 5, "http://nowhere.invalid/d.tar", "x")
    with pytest.raises(DataError) as caught:
        prepare([good, short, missing], tmp_path, tmp_path / "to")
    assert "c.tar: 4 bytes, expected 1000000" in str(caught.value)
    assert "d.tar: missing; it is http://nowhere.invalid/d.tar" in str(caught.value)
    assert not (tmp_path / "to").exists()


def test_an_archive_cannot_write_outside_its_folder(tmp_path: Path) -> None:
    archive = _tar(tmp_path / "a.tar", name="../evil.txt")
    with pytest.raises(DataError, match="outside"):
        prepare([archive], tmp_path, tmp_path / "to")
    assert not (tmp_path / "evil.txt").exists()


def test_an_interrupted_unpacking_is_completed(tmp_path: Path) -> None:
    archive = _tar(tmp_path / "a.tar")
    (tmp_path / "to" / "kit").mkdir(parents=True)
    (tmp_path / "to" / "kit" / "list.txt").write_text("a li")
    prepare([archive], tmp_path, tmp_path / "to")
    assert (tmp_path / "to" / "kit" / "list.txt").read_text() == "a list"


class _Server(BaseHTTPRequestHandler):
    content = bytes(range(256)) * 40

    def do_GET(self) -> None:
        start = int(self.headers.get("Range", "bytes=0-")[6:-1])
        self.send_response(206 if start else 200)
        self.end_headers()
        self.wfile.write(self.content[start:])

    def log_message(self, *arguments: object) -> None:
        pass


def test_a_download_goes_on_where_it_stopped(tmp_path: Path) -> None:
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Server)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        url = f"http://127.0.0.1:{server.server_port}/a.bin"
        (tmp_path / "a.bin.part").write_bytes(_Server.content[:1000])
        fetch(url, tmp_path / "a.bin")
        assert (tmp_path / "a.bin").read_bytes() == _Server.content
        fetch(url, tmp_path / "b.bin")
        assert (tmp_path / "b.bin").read_bytes() == _Server.content
        assert not list(tmp_path.glob("*.part"))
    finally:
        server.shutdown()
        server.server_close()


@pytest.mark.parametrize("name", PUBLIC_SETS)
def test_what_is_missing_is_said_with_where_it_is(tmp_path: Path, name: str) -> None:
    archives = PUBLIC_SETS[name].archives
    with pytest.raises(DataError) as caught:
        prepare(archives, tmp_path, tmp_path / "to")
    for archive in archives:
        assert f"{tmp_path / archive.name}: missing; it is {archive.url} ({archive.size} bytes)" in str(caught.value)
