"""One rank of several that fails ends the others within seconds, and one rank says why.

A rank that raises leaves a note in the group's store before it leaves. The store goes with the main rank, so that one
tells every other of the failure when it leaves, by the connection each holds to it. A rank that was killed tells
nothing: the system closes its connection. Ranks that wait for the failed one in a collective call get an error of the
call, whose words help nobody; ranks that compute on, or wait in a device's queue, are ended by their watch.
"""

from __future__ import annotations

import json
import os
import select
import socket
import struct
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass

from torch.distributed import DistError, Store

from detres.errors import UserError

_NOTE, _PLACE = "detres/failed", "detres/watch"
_RANK = struct.Struct("<I")
# What a rank says when it leaves: whose failure ended it (-1: nobody's), whether that one says why, its exit status.
_BYE = struct.Struct("<i?i")
# Seconds: how often the note is looked for, how long it is waited for after an error of a collective call, and how
# long a rank has to leave by itself.
_EVERY, _PATIENCE, _GRACE = 1.0, 5.0, 5.0
_WORDS_OF_COLLECTIVES = ("gloo", "NCCL", "nccl", "Connection closed by peer", "Connection reset by peer")


class EndedElsewhere(Exception):
    """Another rank failed and says why; commands end with `exit_status` and without a word."""

    def __init__(self, rank: int, exit_status: int) -> None:
        super().__init__(f"rank {rank} failed")
        self.exit_status = exit_status


@dataclass(frozen=True)
class _Failure:
    """told: whether the rank itself says why."""

    rank: int
    told: bool
    exit_status: int = 2

    @staticmethod
    def bye(failure: _Failure | None) -> bytes:
        return _BYE.pack(failure.rank, failure.told, failure.exit_status) if failure else _BYE.pack(-1, False, 0)

    @staticmethod
    def from_bye(word: bytes) -> _Failure | None:
        rank, told, exit_status = _BYE.unpack(word)
        return _Failure(rank, told, exit_status) if rank >= 0 else None

    def error(self) -> UserError:
        return UserError(
            f"rank {self.rank} ended without a word (killed, perhaps because memory ran out; see its machine's log); "
            "a training goes on from its last checkpoint with --resume"
        )


@contextmanager
def failures_told_once(store: Store, rank: int, world: int) -> Iterator[None]:
    """What a rank raises in it reaches all: as it is on the first rank that fails, as EndedElsewhere on the others.

    Raises UserError, on one rank, where another ended without raising anything.
    """
    watch = _Watch(store, rank, world)
    watch.start()
    try:
        yield
    except BaseException as error:
        failure = watch.failure_behind(error)
        if failure is None or failure.rank == rank:
            raise
        if failure.told or not watch.is_teller(failure):
            raise EndedElsewhere(failure.rank, getattr(error, "exit_status", failure.exit_status)) from None
        raise failure.error() from None
    finally:
        watch.leave()


def _is_of_a_collective(error: BaseException) -> bool:
    words = str(error)
    return isinstance(error, DistError) or (
        isinstance(error, RuntimeError) and any(word in words for word in _WORDS_OF_COLLECTIVES)
    )


class _Watch(threading.Thread):
    """Learns of a failure; ends the process where it does not leave by itself then."""

    def __init__(self, store: Store, rank: int, world: int) -> None:
        super().__init__(daemon=True, name="detres rank watch")
        self._store, self._rank = store, rank
        # What this thread learnt of, and what this rank raised (the first of all, where others failed before).
        self._failure: _Failure | None = None
        self._own: _Failure | None = None
        self._known, self._leaving = threading.Event(), threading.Event()
        self._peers: dict[socket.socket, int] = _connect(store, rank, world)

    def failure_behind(self, error: BaseException) -> _Failure | None:
        """Whose failure this error is; None where it is none, or nobody's that can be found."""
        if _is_of_a_collective(error):
            self._known.wait(_PATIENCE)
            return self._failure
        if isinstance(error, SystemExit | GeneratorExit):
            return None
        status = getattr(error, "exit_status", 130 if isinstance(error, KeyboardInterrupt) else 1)
        self._own = self._note(_Failure(self._rank, told=True, exit_status=status))
        return self._own

    def is_teller(self, failure: _Failure) -> bool:
        return self._rank == (0 if failure.rank else 1)

    def leave(self) -> None:
        self._leaving.set()
        for peer in list(self._peers):
            with suppress(OSError):
                peer.sendall(_Failure.bye(self._own or self._failure))
        self.join(timeout=2 * _EVERY)
        for peer in list(self._peers):
            peer.close()

    def run(self) -> None:
        while not self._leaving.is_set() and self._failure is None:
            self._listen()
            self._look()
        if self._failure is None:
            return
        self._known.set()
        if not self._leaving.wait(_GRACE):
            if not self._failure.told and self.is_teller(self._failure):
                print(f"UserError: {self._failure.error()}", file=sys.stderr, flush=True)
            os._exit(self._failure.exit_status)

    def _listen(self) -> None:
        """Wait for a while; a peer that closes its end without a word has died."""
        if not self._peers:
            self._leaving.wait(_EVERY)
            return
        for peer in select.select(list(self._peers), [], [], _EVERY)[0]:
            try:
                word = peer.recv(_BYE.size, socket.MSG_WAITALL)
            except OSError:
                word = b""
            rank = self._peers.pop(peer)
            peer.close()
            if len(word) == _BYE.size:
                self._failure = self._failure or _Failure.from_bye(word)
            elif not self._leaving.is_set():
                silent = _Failure(rank, told=False)
                # The main rank's end is seen by all, and the store may have gone with it.
                self._failure = self._note(silent) if rank else silent

    def _look(self) -> None:
        if self._failure is None:
            with suppress(RuntimeError):
                if self._store.check([_NOTE]):
                    self._failure = self._note(None)

    def _note(self, failure: _Failure | None) -> _Failure | None:
        """The first failure of all: this one, where there was none before."""
        text = json.dumps(vars(failure)) if failure is not None else ""
        try:
            return _Failure(**json.loads(self._store.compare_set(_NOTE, "", text)))
        except (RuntimeError, ValueError):  # The store went with the rank that kept it.
            return failure


def _connect(store: Store, rank: int, world: int) -> dict[socket.socket, int]:
    """The main rank's connections to all others, another's to the main one, by the rank at the other end."""
    if rank:
        host, port = json.loads(store.get(_PLACE))
        ours = socket.create_connection((host, port), timeout=60)
        ours.sendall(_RANK.pack(rank))
        ours.settimeout(None)
        return {ours: 0}
    with socket.create_server(("", 0), family=_family(), backlog=world) as listener:
        listener.settimeout(300)
        host = os.environ.get("MASTER_ADDR", "localhost")
        store.set(_PLACE, json.dumps([host, listener.getsockname()[1]]))
        peers: dict[socket.socket, int] = {}
        while len(peers) < world - 1:
            peer, _ = listener.accept()
            peer.settimeout(None)
            peers[peer] = _RANK.unpack(peer.recv(_RANK.size, socket.MSG_WAITALL))[0]
        return peers


def _family() -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in os.environ.get("MASTER_ADDR", "") else socket.AF_INET
