"""A mail server on this machine, which keeps what it is given: enough SMTP for a real client."""

from __future__ import annotations

import email
import socketserver
import threading
from email import policy
from email.message import EmailMessage
from typing import Any


class _Talk(socketserver.StreamRequestHandler):
    server: PostOffice

    def handle(self) -> None:
        self._say("220 post.example")
        for line in iter(self.rfile.readline, b""):
            word = line.strip().upper()
            if word.startswith((b"EHLO", b"HELO")):
                self._say("250 post.example")
            elif word == b"DATA":
                self._take()
            elif word == b"QUIT":
                self._say("221 bye")
                return
            elif word.startswith(b"RCPT") and self.server.refuses:
                self._say("550 nobody of that name")
            else:
                self._say("250 OK")

    def _take(self) -> None:
        self._say("354 go on")
        lines = []
        for line in iter(self.rfile.readline, b""):
            if line == b".\r\n":
                break
            lines.append(line[1:] if line.startswith(b"..") else line)
        found = email.message_from_bytes(b"".join(lines), policy=policy.SMTP)
        assert isinstance(found, EmailMessage)
        self.server.mails.append(found)
        self._say("250 taken")

    def _say(self, text: str) -> None:
        self.wfile.write(f"{text}\r\n".encode())


class PostOffice(socketserver.ThreadingTCPServer):
    """Attributes: mails: in the order they came; refuses: it takes none."""

    daemon_threads = True
    allow_reuse_address = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Talk)
        self.mails: list[EmailMessage] = []
        self.refuses = False
        self._thread = threading.Thread(target=self.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()

    @property
    def url(self) -> str:
        return f"smtp://127.0.0.1:{self.server_address[1]}?from=desk@acme.example"

    def close(self) -> None:
        self.shutdown()
        self.server_close()
        self._thread.join()


def part(mail: EmailMessage, kind: str) -> str:
    """Return the text or the HTML of a mail."""
    found: Any = mail.get_body((kind,))
    content: str = found.get_content()
    return content
