"""A camera that speaks RTSP: a video's packets over UDP, as long as anybody plays it."""

import base64
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from socketserver import StreamRequestHandler, ThreadingTCPServer
from typing import Any

import av

from .serving import running

METHODS = "Public: OPTIONS, DESCRIBE, SETUP, PLAY, TEARDOWN"
GAP = 0.004  # seconds between two packets at least
QUEUES = (Path("/proc/net/udp"), Path("/proc/net/udp6"))


class Camera(StreamRequestHandler):
    """Answers what FFmpeg asks before it plays (RFC 2326), and sends a file's packets then."""

    def __init__(self, *given: Any, path: Path) -> None:
        self.path, self._port, self._closed = path, 0, threading.Event()
        super().__init__(*given)

    def handle(self) -> None:
        while request := self._request():
            method, sequence, transport = request
            told, body = [f"CSeq: {sequence}", "Session: 1"], ""
            if method == "OPTIONS":
                told.append(METHODS)
            if method == "DESCRIBE":
                body = described(self.path)
                told += ["Content-Type: application/sdp", f"Content-Length: {len(body)}"]
            if method == "SETUP":
                self._port = int(transport.partition("client_port=")[2].partition("-")[0])
                told.append(f"Transport: {transport};server_port=9000-9001")
            self.wfile.write("\r\n".join(["RTSP/1.0 200 OK", *told, "", body]).encode())
            if method == "PLAY":
                threading.Thread(target=self._send, daemon=True).start()
        self._closed.set()

    def _request(self) -> tuple[str, str, str] | None:
        """Its method, number and Transport."""
        lines: list[str] = []
        while line := self.rfile.readline().decode().strip():
            lines.append(line)
        if not lines:
            return None
        heads = dict(line.split(": ", 1) for line in lines[1:])
        return lines[0].partition(" ")[0], heads["CSeq"], heads.get("Transport", "")

    def _send(self) -> None:
        address = f"rtp://127.0.0.1:{self._port}"
        with (
            av.open(self.path) as file,
            av.open(address, "w", format="rtp", options={"rtpflags": "send_bye"}) as sent,
        ):
            stream = sent.add_stream_from_template(file.streams.video[0])
            for packet in file.demux(video=0):
                if self._closed.is_set() or not packet.size:
                    break
                packet.stream = stream
                sent.mux(packet)
                # Before the next one, and before the good-bye: a busy machine loses none.
                while not self._closed.wait(GAP) and waiting(self._port):
                    pass


def waiting(port: int) -> bool:
    """Whether packets to this port, or to the next one's reports, lie unread, as Linux tells."""
    lines = [
        line.split() for file in QUEUES if file.exists() for line in file.read_text().splitlines()
    ]
    unread = {
        int(local.rpartition(":")[2], 16): int(queues.rpartition(":")[2], 16)
        for _, local, _, _, queues, *_ in lines
        if ":" in queues
    }
    return any(unread.get(number, 0) for number in (port, port + 1))


def described(path: Path) -> str:
    """The session's description (RFC 4566), with the parameter sets of an mp4's H.264."""
    with av.open(path) as file:
        stored = file.streams.video[0].codec_context.extradata
    assert stored is not None
    size = int.from_bytes(stored[6:8])  # ISO/IEC 14496-15: one sequence and one picture set
    pictures = stored[8 + size + 1 :]
    sets = (stored[8 : 8 + size], pictures[2 : 2 + int.from_bytes(pictures[:2])])
    given = ",".join(base64.b64encode(one).decode() for one in sets)
    lines = [
        *("v=0", "o=- 0 0 IN IP4 127.0.0.1", "s=camera", "t=0 0", "m=video 0 RTP/AVP 96"),
        *("c=IN IP4 127.0.0.1", "a=rtpmap:96 H264/90000", "a=control:track"),
        f"a=fmtp:96 packetization-mode=1;sprop-parameter-sets={given}",
    ]
    return "\r\n".join([*lines, ""])


@contextmanager
def camera(path: Path) -> Iterator[str]:
    """The address of a camera that shows an mp4, from its beginning to everybody who plays it."""
    server = ThreadingTCPServer(("127.0.0.1", 0), partial(Camera, path=path))
    server.daemon_threads = True
    with running(server) as port:
        yield f"rtsp://127.0.0.1:{port}/live"
