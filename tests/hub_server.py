"""A Hub on this machine: the part of its API that reading a dataset and downloading a model need, over a folder of repositories
(`datasets/<owner>/<name>/...`, `models/<owner>/<name>/...`)."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any
from urllib.parse import parse_qs

_COMMIT = "0123456789abcdef0123456789abcdef01234567"
_API = re.compile(r"/api/(datasets|models)/([^/]+/[^/]+)(?:/revision/[^/]+|/(tree|paths-info)/[^/]+(?:/(.*))?)?")
_FILE = re.compile(r"/(datasets/)?([^/]+/[^/]+)/resolve/[^/]+/(.+)")


@contextmanager
def hub(root: Path) -> Iterator[str]:
    """The address to give as HF_ENDPOINT."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"root": root}))
    thread = Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _Handler(BaseHTTPRequestHandler):
    root: Path

    def do_GET(self) -> None:
        path, _, query = self.path.partition("?")
        if (found := _API.fullmatch(path)) and (folder := self.root / found[1] / found[2]).is_dir():
            self.say(_tree(folder, found[4] or "", "recursive=true" in query.lower()) if found[3] else _about(folder, found[2]))
        elif (found := _FILE.fullmatch(path)) and (file := self.root / (found[1] or "models") / found[2] / found[3]).is_file():
            self.send(file)
        else:
            self.send_response(404)
            self.send_header("X-Error-Code", "EntryNotFound" if found else "RepoNotFound")
            self.send_header("Content-Length", "0")
            self.end_headers()

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_POST(self) -> None:
        """What is at these paths."""
        asked = parse_qs(self.rfile.read(int(self.headers["Content-Length"])).decode())["paths"]
        found = _API.fullmatch(self.path)
        folder = self.root / found[1] / found[2] if found else self.root
        self.say([_entry(path, folder) for name in asked if (path := folder / name).exists()])

    def log_message(self, *_: Any) -> None:
        """Nothing: tests have output of their own."""

    def say(self, value: object) -> None:
        self.body(json.dumps(value).encode(), {"Content-Type": "application/json"})

    def send(self, file: Path) -> None:
        self.body(file.read_bytes(), {"ETag": f'"{_oid(file)}"', "X-Repo-Commit": _COMMIT, "Accept-Ranges": "bytes"})

    def body(self, body: bytes, headers: dict[str, str]) -> None:
        start, end, status = 0, len(body), 200
        if asked := re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", "")):
            start, end, status = int(asked[1]), min(int(asked[2] or end) + 1, end), 206
            headers["Content-Range"] = f"bytes {start}-{end - 1}/{len(body)}"
        self.send_response(status)
        for name, value in (headers | {"Content-Length": str(end - start)}).items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body[start:end])


def _about(folder: Path, name: str) -> dict[str, Any]:
    siblings = [{"rfilename": one["path"]} for one in _tree(folder, "", recursive=True) if one["type"] == "file"]
    return {"id": name, "sha": _COMMIT, "private": False, "tags": [], "downloads": 0, "likes": 0, "siblings": siblings}


def _tree(folder: Path, under: str, recursive: bool) -> list[dict[str, Any]]:
    return [_entry(path, folder) for path in sorted((folder / under).glob("**/*" if recursive else "*"))]


def _entry(path: Path, folder: Path) -> dict[str, Any]:
    name = str(path.relative_to(folder))
    if path.is_dir():
        return {"type": "directory", "path": name, "oid": hashlib.sha1(name.encode()).hexdigest()}
    return {"type": "file", "path": name, "size": path.stat().st_size, "oid": _oid(path)}


def _oid(path: Path) -> str:
    return hashlib.sha1(path.read_bytes()).hexdigest()
