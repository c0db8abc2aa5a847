"""Asks an HTTP/3 server, one request after the other over one connection.

Arguments: host, port, and a JSON list of [path, [[name, value], ...], seconds]. Whoever has seconds leaves after them. Prints a
JSON list with what came back of each: its headers and its trailers as pairs, one list after the other.
"""

import asyncio
import json
import ssl
import sys

from aioquic.asyncio.client import connect
from aioquic.asyncio.protocol import QuicConnectionProtocol
from aioquic.h3.connection import H3Connection
from aioquic.h3.events import DataReceived, HeadersReceived
from aioquic.quic.configuration import QuicConfiguration
from aioquic.quic.events import ConnectionTerminated, StreamReset

GIVEN_UP = 30
CANCELLED = 0x10C


class Client(QuicConnectionProtocol):
    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.http = H3Connection(self._quic)
        self.answers = {}

    def quic_event_received(self, event):
        if isinstance(event, ConnectionTerminated):
            for ended, _ in self.answers.values():
                ended.set()
        if isinstance(event, StreamReset) and event.stream_id in self.answers:
            self.answers[event.stream_id][0].set()
        for part in self.http.handle_event(event):
            ended, heads = self.answers[part.stream_id]
            if isinstance(part, HeadersReceived):
                heads.append([[name.decode(), value.decode()] for name, value in part.headers])
            if isinstance(part, (HeadersReceived, DataReceived)) and part.stream_ended:
                ended.set()

    async def ask(self, host, path, headers, seconds):
        stream = self._quic.get_next_available_stream_id()
        ended, heads = self.answers.setdefault(stream, (asyncio.Event(), []))
        pseudo = [(":method", "GET"), (":scheme", "https"), (":authority", host), (":path", path)]
        lines = [(name.encode(), value.encode()) for name, value in [*pseudo, *headers]]
        self.http.send_headers(stream, lines, end_stream=True)
        self.transmit()
        try:
            await asyncio.wait_for(ended.wait(), seconds or GIVEN_UP)
        except asyncio.TimeoutError:
            self._quic.stop_stream(stream, CANCELLED)
            self.transmit()
        return heads


async def main(host, port, requests):
    configuration = QuicConfiguration(is_client=True, alpn_protocols=["h3"], server_name=host)
    # The server's certificate was made a moment ago, and nobody knows it.
    configuration.verify_mode = ssl.CERT_NONE
    async with connect("127.0.0.1", port, configuration=configuration, create_protocol=Client) as client:
        return [await client.ask(host, *request) for request in requests]


if __name__ == "__main__":
    _, host, port, requests = sys.argv
    print(json.dumps(asyncio.run(main(host, int(port), json.loads(requests)))))
