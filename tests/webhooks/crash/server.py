"""A real receiver in a process of its own, to be killed: ``python server.py STORE LOG FD``.

It serves on a listening socket that it inherits, so that connections wait for the next one while there is none. Its
handler appends a line to a log before it returns; what a killed process has written there stays.
"""

from __future__ import annotations

import os
import socket
import sys

import uvicorn

from pidj_async.store import Store
from pidj_async.webhooks import Dispatcher, Inbox, InboxRecord, Receiver, TextReceived

SECRET = "correct-horse-battery"
LEASE = 2.0


def main(store_url: str, log_path: str, listening: str) -> None:
    log = os.open(log_path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    dispatcher = Dispatcher()

    @dispatcher.on(TextReceived)
    async def write_down(event: TextReceived, record: InboxRecord) -> None:
        contact = event.contact
        os.write(log, f"{event.phone_number} {contact and contact.external_id} {record.id}\n".encode())

    inbox = Inbox(Store(store_url), lease=LEASE, poll=0.2, max_attempts=50)
    app = Receiver(dispatcher, secret=SECRET, inbox=inbox).asgi()
    server = uvicorn.Server(uvicorn.Config(app, log_level="warning", access_log=False))
    server.run(sockets=[socket.socket(fileno=int(listening))])


if __name__ == "__main__":
    main(*sys.argv[1:])
