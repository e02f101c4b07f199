"""Names that Python took away after 2013, for libraries of that year on a Python of today.

It is put on PYTHONPATH, so that the library itself stays as it was published. Only docker-py 0.2 with requests 1.2
needs it, and only where there is no Python 2.7.
"""

import collections
import collections.abc
import io
import socket

for _name in ("Callable", "Iterable", "Mapping", "MutableMapping", "MutableSet", "Sequence", "Set"):
    if not hasattr(collections, _name):
        setattr(collections, _name, getattr(collections.abc, _name))


class _Reader(io.BufferedReader):
    """A reader that shows its socket, as Python 2 did, and never holds back bytes of a hijacked connection."""

    @property
    def _sock(self):
        # In Python 2 this lived for as long as somebody held it; here its owner closes it when it goes.
        mine = self.raw._sock.dup()
        mine.settimeout(self.raw._sock.gettimeout())
        return mine


_makefile = socket.socket.makefile


def _showing_makefile(self, mode="r", buffering=None, **text):
    if self.family == socket.AF_UNIX and mode == "rb" and buffering in (None, -1):
        return _Reader(_makefile(self, mode, buffering=0), buffer_size=1)
    return _makefile(self, mode, buffering, **text)


socket.socket.makefile = _showing_makefile
