"""A server of OpenAI's chat completions on loopback, with no language model behind it.

It answers with the last line of each source that it was sent, cited: enough to see that
sources arrive, in which order, and that citations lead back to them.
"""

import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


def quote(messages: list[dict[str, str]]) -> str:
    """Answer with what the sources say."""
    source = re.compile(
        r"^\[(\d+)\] \([^)]*\)\n(.+?)(?=\n\n\[\d+\] \(|\n\nQuestion: )", re.MULTILINE | re.DOTALL
    )
    sources = source.findall(messages[-1]["content"])
    return " ".join(f"{text.splitlines()[-1]} [{number}]" for number, text in sources)


@contextmanager
def chat_server() -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """Run the server; gives its base URL and the requests that it has received."""
    received: list[dict[str, Any]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["content-length"])))
            received.append(body | {"authorization": self.headers["authorization"]})
            if self.path.startswith("/page/"):
                self._send(200, "text/html", b"<p>Welcome</p>")
                return
            if self.path != "/v1/chat/completions" or body["model"] == "missing":
                self._send(404, "application/json", b'{"error": {"message": "no such model"}}')
                return
            assert body["stream"] is True
            pieces = re.findall(r"\S+\s*", quote(body["messages"]))
            events = [
                {
                    "id": "1",
                    "object": "chat.completion.chunk",
                    "created": 0,
                    "model": body["model"],
                    "choices": [{"index": 0, "delta": {"content": piece}}],
                }
                for piece in pieces
            ]
            lines = [f"data: {json.dumps(event)}\n\n" for event in events]
            self._send(200, "text/event-stream", "".join([*lines, "data: [DONE]\n\n"]).encode())

        def _send(self, status: int, kind: str, content: bytes) -> None:
            self.send_response(status)
            self.send_header("content-type", kind)
            self.send_header("content-length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: Any) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/v1", received
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
