"""`python -m sandbox`: start practice servers, or send a recorded log again."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from .kit.log import replay
from .launch import SERVERS, LaunchError, up


def main(arguments: list[str] | None = None) -> int:
    """Run the command; 0 when it did what was asked, 1 when a replay differed, 2 when it could not."""
    options = _parser().parse_args(arguments)
    try:
        if options.command == "replay":
            return _replay(options)
        up(
            options.servers,
            host=options.host,
            port=options.port,
            tls=options.tls,
            seed=options.seed,
            data=options.data,
            schema=options.schema,
            fixed_clock=options.fixed_clock,
            record=options.record,
            json_output=options.json,
        )
    except (LaunchError, ValueError, OSError) as error:
        sys.stderr.write(f"{error}\n")
        return 2
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m sandbox", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    start = commands.add_parser("up", help="start practice servers and wait for Ctrl-C")
    start.add_argument("servers", nargs="*", metavar="server", help=f"{', '.join(SERVERS)} (default: all)")
    start.add_argument("--host", default="127.0.0.1", help="address to listen on (default: loopback only)")
    start.add_argument("--port", type=int, default=0, help="first port; the next servers take the ports after it")
    transport = start.add_mutually_exclusive_group()
    transport.add_argument("--tls", action="store_true", help="serve https with a throw-away certificate authority")
    transport.add_argument("--http", dest="tls", action="store_false", help="serve plain http (default)")
    content = start.add_mutually_exclusive_group()
    content.add_argument("--seed", type=int, help="fill the systems with a small population made from this number")
    content.add_argument("--data", type=Path, help="load DIR/<system>/<Object>.json or .csv", metavar="DIR")
    start.add_argument("--schema", type=Path, help="YAML or JSON file with objects and fields to add, per system")
    start.add_argument("--fixed-clock", help="stop the servers' clocks at this ISO 8601 time", metavar="T")
    start.add_argument("--record", type=Path, help="keep every request, without secrets, in this file")
    start.add_argument("--json", action="store_true", help="print how to connect as one JSON object")
    again = commands.add_parser("replay", help="send the requests of a record file to a server, in order")
    again.add_argument("file", type=Path)
    again.add_argument("url")
    again.add_argument("--header", action="append", default=[], metavar="NAME: VALUE", help="today's credentials")
    again.add_argument("--ca-file", help="certificate authority of the server")
    return parser


def _replay(options: argparse.Namespace) -> int:
    headers = dict(tuple(part.strip() for part in header.split(":", 1)) for header in options.header)
    results = replay(options.file, options.url, headers=headers, verify=options.ca_file or True)
    for result in results:
        sys.stdout.write(
            f"{result.ordinal:>6} {result.method:<7} {result.path}  {result.status_then} -> {result.status_now}\n"
        )
    return 0 if all(result.status_now == result.status_then for result in results) else 1


if __name__ == "__main__":
    sys.exit(main())
