"""Who may ask the page's server, and how much; a server of its own process, asked over sockets."""

import asyncio
import base64
import contextlib
import http.client
import json
import os
import socket
import time
import urllib.parse
import zlib

import numpy as np
import pytest

from tests.lively import clip, first_mask
from tests.paint_server import make_video, painting

pytest.importorskip("uvicorn", reason="needs pip install '.[app]'")
pytest.importorskip("starlette", reason="needs pip install '.[app]'")


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    root = tmp_path_factory.mktemp("guard")
    (root / "secret.txt").write_text("secret")
    video = make_video(root / "video", clip(4))
    (video / "notes.txt").write_text("secret")
    with painting(video) as (address, process):
        yield urllib.parse.urlsplit(address), process


def ask(server, path: str, method: str = "GET", body: bytes | None = None, **headers: str):
    """Returns status, body and headers; names of headers have _ for -."""
    address, process = server
    connection = http.client.HTTPConnection(address.hostname, address.port, timeout=20)
    named = {name.replace("_", "-"): each for name, each in headers.items() if each}
    if method != "GET" and "Origin" not in headers:
        named["Origin"] = f"http://{address.netloc}"
    try:
        connection.request(method, path, body, named)
        answer = connection.getresponse()
        return answer.status, answer.read(), dict(answer.getheaders())
    finally:
        connection.close()
        assert process.poll() is None


def packed(ids: np.ndarray) -> bytes:
    packer = zlib.compressobj(wbits=31)
    return packer.compress(ids.tobytes()) + packer.flush()


def do(server, name: str, **about):
    body = json.dumps({"do": name, **about}).encode()
    return ask(server, server[0].path + "do", "POST", body)


def test_the_page_and_what_it_may_load(server):
    status, body, headers = ask(server, server[0].path)
    assert status == 200 and b"<title>" in body
    policy = headers["content-security-policy"]
    assert "default-src 'none'" in policy and "http" not in policy and "unsafe" not in policy
    assert headers["referrer-policy"] == "no-referrer"


def test_a_wrong_token_or_none(server):
    path = server[0].path
    wrong = path[:-2] + ("A" if path[-2] != "A" else "B") + "/"
    for other in ("/", wrong, "/frame/0", wrong + "frame/0", "/x" * 40):
        status, body, _ = ask(server, other)
        assert status == 403 and b"<title>" not in body, other


@pytest.mark.parametrize(
    "tail",
    [
        *("../../etc/passwd", "..%2f..%2fetc%2fpasswd", "%2e%2e/secret.txt", "/etc/passwd"),
        *("frame/../../secret.txt", "notes.txt", "frame/000.png", "frame/-1", "frame/99"),
        *("mask/4", "server.py", "__init__.py", "frame/1e3", "thumb/9999999999999999999999"),
    ],
)
def test_no_other_file(server, tail):
    status, body, _ = ask(server, server[0].path + tail)
    assert status in (403, 404) and b"secret" not in body and b"root:" not in body


@pytest.mark.parametrize("origin", ["https://evil.example", "null", "http://127.0.0.1:1", ""])
def test_another_page_changes_nothing(server, origin):
    body = json.dumps({"do": "AddObject", "name": "evil"}).encode()
    assert ask(server, server[0].path + "do", "POST", body, Origin=origin)[0] == 403
    evil = {"Sec_Fetch_Site": "cross-site"}
    assert ask(server, server[0].path + "frame/0", **evil)[0] == 403
    assert "evil" not in json.dumps(first_state(server)["objects"])


@pytest.mark.parametrize("host", ["evil.example", "evil.example:80", "127.0.0.1.evil.example", ""])
def test_another_name_for_this_machine(server, host):
    address, _ = server
    with socket.create_connection((address.hostname, address.port)) as line:
        line.sendall(f"GET {address.path} HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
        assert line.recv(4096).split()[1] in (b"403", b"400")


def test_a_hundred_megabytes_are_refused(server):
    address, _ = server
    path = address.path + "mask/0"
    assert ask(server, path, "POST", b"", Content_Length=str(10**8))[0] == 413
    head = f"POST {path} HTTP/1.1\r\nHost: {address.netloc}\r\nOrigin: http://{address.netloc}\r\n"
    with socket.create_connection((address.hostname, address.port), timeout=20) as line:
        line.sendall(f"{head}Transfer-Encoding: chunked\r\n\r\n".encode())
        part, sent = b"%x\r\n%s\r\n" % (2**16, bytes(2**16)), 0
        try:
            for _ in range(1600):
                line.sendall(part)
                sent += len(part)
        except OSError:
            pass
        line.settimeout(5)
        with contextlib.suppress(OSError):  # what was sent and not read may have reset the line
            assert b" 413 " in line.recv(4096)
    assert sent < 3e7
    assert ask(server, address.path)[0] == 200


def test_a_mask_that_unpacks_to_a_gigabyte(server):
    bomb = zlib.compressobj(9, wbits=31)
    content = bomb.compress(bytes(2**24)) + bomb.flush()
    assert len(content) < 2**16
    status, body, _ = ask(server, server[0].path + "mask/0", "POST", content)
    assert status == 400 and b"52x40" in body


@pytest.mark.parametrize(
    "body",
    [
        *(b"", b"[]", b'"x"', b"{", b'{"do":"Exec"}', b'{"do":"__init__"}', b"[" * 10_000),
        *(b'{"do":"Follow","start":0}', b'{"do":"Follow","start":"0","end":1}', b"\xff\xfe"),
        *(b'{"do":"Follow","start":0,"end":99}', b'{"do":"Follow","start":-1,"end":NaN}'),
        *(b'{"do":"Choose","direction":"up"}', b'{"do":"Export","kinds":["../x"]}'),
        *(b'{"do":"Export","kinds":[]}', b'{"do":"RemoveObject","object_id":77}'),
        b'{"do":"AddObject","name":"a\\nb"}',
        b'{"do":"Unannotate","frame":2}',
    ],
)
def test_messages_that_make_no_sense(server, body):
    before = first_state(server)
    status, said, _ = ask(server, server[0].path + "do", "POST", body)
    assert status == 400 and said and b"\n" not in said and b"Traceback" not in said
    assert first_state(server)["objects"] == before["objects"]


@pytest.mark.parametrize(
    "about",
    [
        {"box": [5, 5, 5, 9]},
        {"box": [900, 900, 950, 950]},
        {"frame": 99, "box": [1, 1, 9, 9]},
        {"scribbles": [{"points": [[-9, -9]], "radius": 2, "is_object": True}]},
        {"scribbles": [{"points": [[1, 1]], "radius": 2, "is_object": False}]},
        {"scribbles": [{"points": [], "radius": 2, "is_object": True}]},
    ],
)
def test_assists_that_make_no_sense(server, about):
    body = json.dumps({"frame": 0, **about}).encode()
    status, said, _ = ask(server, server[0].path + "assist", "POST", body)
    assert status == 400 and said, said


def test_an_upload_that_is_no_mask(server):
    for content in (b"", b"x" * 1000, b"\x89PNG\r\n\x1a\n" + b"\0" * 50):
        status, said, _ = ask(server, server[0].path + "hand-mask", "POST", content)
        assert status == 400 and b"Traceback" not in said


def test_a_mask_goes_to_the_server_and_back(server):
    path = server[0].path + "mask/2?objects=1%204%209"
    assert ask(server, path, "POST", packed(first_mask()))[0] == 200
    status, body, headers = ask(server, server[0].path + "mask/2")
    assert status == 200 and headers["x-told"] == "1 4 9"
    ids = np.frombuffer(zlib.decompress(body, 31), np.uint8).reshape(40, 52)
    np.testing.assert_array_equal(ids, first_mask())
    assert first_state(server)["states"] == "ttat"
    assert do(server, "Unannotate", frame=2)[0] == 200
    assert first_state(server)["states"] == "nnnn"


def open_socket(server, **headers: str) -> tuple[socket.socket, bytes]:
    address, _ = server
    line = socket.create_connection((address.hostname, address.port), timeout=20)
    key = base64.b64encode(os.urandom(16)).decode()
    head = {
        "Host": address.netloc,
        "Origin": f"http://{address.netloc}",
        "Upgrade": "websocket",
        "Connection": "Upgrade",
        "Sec-WebSocket-Key": key,
        "Sec-WebSocket-Version": "13",
        **headers,
    }
    lines = "".join(f"{name}: {each}\r\n" for name, each in head.items())
    line.sendall(f"GET {address.path}events HTTP/1.1\r\n{lines}\r\n".encode())
    answer = b""
    while b"\r\n\r\n" not in answer:
        part = line.recv(1)
        if not part:
            break
        answer += part
    return line, answer


def first_state(server) -> dict:
    line, answer = open_socket(server)
    with line:
        assert b" 101 " in answer
        return json.loads(frame_of(line))


def frame_of(line: socket.socket) -> bytes:
    def read(count: int) -> bytes:
        content = b""
        while len(content) < count:
            part = line.recv(count - len(content))
            if not part:
                raise EOFError
            content += part
        return content

    _, length = read(2)
    more = {126: 2, 127: 8}.get(length, 0)
    return read(int.from_bytes(read(more)) if more else length)


def test_a_socket_from_another_page(server):
    for headers in ({"Origin": "https://evil.example"}, {"Host": "evil.example"}):
        line, answer = open_socket(server, **headers)
        line.close()
        assert b" 403 " in answer


def test_a_flood_on_a_socket_is_cut_off(server):
    line, _ = open_socket(server)
    with line:
        frame_of(line)
        message = b"\x81\x85\0\0\0\0hello"  # masked by zeros
        with pytest.raises((OSError, EOFError)):
            for _ in range(100_000):
                line.sendall(message)
            while True:
                frame_of(line)
    assert ask(server, server[0].path)[0] == 200


def test_a_flood_of_requests_is_refused():
    from stm_jax.paint.guard import BURST, Guard

    reached, statuses = [], []

    async def app(scope, receive, send):
        reached.append(scope)

    async def send(message):
        statuses.append(message.get("status", 0))

    async def receive():
        return {"type": "http.disconnect"}

    async def flood():
        headers = [(b"host", b"127.0.0.1:80"), (b"origin", b"http://127.0.0.1:80")]
        scope = {"type": "http", "method": "POST", "path": "/token/do", "headers": headers}
        guard = Guard(app, "token", "127.0.0.1")
        for _ in range(int(3 * BURST)):
            await guard(scope, receive, send)

    asyncio.run(flood())
    assert BURST <= len(reached) < 2 * BURST
    assert set(statuses) - {0} == {429}


def test_the_server_outlasts_a_flood(server):
    assert {do(server, "Pause")[0] for _ in range(500)} <= {200, 429}
    time.sleep(0.5)
    assert do(server, "Pause")[0] == 200


def test_too_many_pages(server):
    lines = [open_socket(server)[0] for _ in range(40)]
    assert ask(server, server[0].path)[0] == 200
    for line in lines:
        line.close()
    answer, until = b"", time.monotonic() + 60
    while b" 101 " not in answer and time.monotonic() < until:  # it hears soon that they are gone
        line, answer = open_socket(server)
        line.close()
        time.sleep(0.1)
    assert first_state(server)["kind"] == "state"
