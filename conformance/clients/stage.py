"""What the shell cannot do by itself for docker_cli.sh: archives, terminals, and pipes that stay open.

    stage.py rootfs BUSYBOX                     a root file system as a tar on stdout
    stage.py saved BUSYBOX NAME                 an archive as `docker save` writes it, with the image NAME, on stdout
    stage.py late MEGABYTES COMMAND...          feeds stdin, keeps it open until all came back, compares the SHA-256
    stage.py early MEGABYTES COMMAND...         closes stdin at once, then counts so many million zeros
    stage.py terminal COMMAND...                runs the command (a shell in a container) on a terminal: resizes it, then
                                                detaches with ctrl-p ctrl-q and leaves the shell running
    stage.py leave COMMAND...                   attaches to that shell by the command, and ends it with status 21

Each ends with status 0, or says what was wrong and ends with 1.
"""

import fcntl
import hashlib
import io
import json
import os
import pty
import select
import signal
import struct
import subprocess
import sys
import tarfile
import termios
import threading
import time

APPLETS = "cat dd echo env false head hostname id ls sh sha256sum sleep stty test touch true wc".split()
PATIENCE = 60


def rootfs(busybox):
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.USTAR_FORMAT) as tar:

        def add(name, kind, mode, data=b"", link=""):
            entry = tarfile.TarInfo(name)
            entry.type, entry.mode, entry.size, entry.linkname = kind, mode, len(data), link
            entry.mtime = 1400000000
            tar.addfile(entry, io.BytesIO(data))

        for folder in ("bin", "dev", "etc", "proc", "sys", "tmp"):
            add(folder, tarfile.DIRTYPE, 0o755)
        with open(busybox, "rb") as program:
            add("bin/busybox", tarfile.REGTYPE, 0o755, program.read())
        add("bin/notexec", tarfile.REGTYPE, 0o644, b"#!/bin/sh\n")
        add("etc/passwd", tarfile.REGTYPE, 0o644, b"root:x:0:0:root:/:/bin/sh\n")
        for applet in APPLETS:
            add("bin/" + applet, tarfile.SYMTYPE, 0o777, link="busybox")
    return out.getvalue()


def saved(busybox, name):
    """Source: image specification v1.2, "Combined Image JSON + Filesystem Changeset Format"."""
    layer = rootfs(busybox)
    config = {
        "architecture": "amd64",
        "os": "linux",
        "created": "2014-05-13T16:53:20Z",
        "config": {"Cmd": ["sh"], "Env": ["PATH=/bin"]},
        "rootfs": {"type": "layers", "diff_ids": ["sha256:" + hashlib.sha256(layer).hexdigest()]},
        "history": [{"created": "2014-05-13T16:53:20Z"}],
    }
    config = json.dumps(config).encode()
    config_name = hashlib.sha256(config).hexdigest() + ".json"
    layer_name = hashlib.sha256(layer).hexdigest() + "/layer.tar"
    manifest = [{"Config": config_name, "RepoTags": [name], "Layers": [layer_name]}]
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for path, data in (
            (layer_name, layer),
            (config_name, config),
            ("manifest.json", json.dumps(manifest).encode()),
        ):
            entry = tarfile.TarInfo(path)
            entry.size = len(data)
            tar.addfile(entry, io.BytesIO(data))
    return out.getvalue()


def blocks(megabytes):
    """Bytes that no two blocks share, 1 MB each."""
    for number in range(megabytes):
        yield hashlib.sha256(str(number).encode()).digest() * 31250


def late(megabytes, command):
    child = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    sent, back = hashlib.sha256(), hashlib.sha256()
    came = [0]
    all_back = threading.Event()

    def read():
        while True:
            piece = os.read(child.stdout.fileno(), 1 << 20)
            if not piece:
                break
            back.update(piece)
            came[0] += len(piece)
            if came[0] == megabytes * 1000000:
                all_back.set()
        all_back.set()

    reader = threading.Thread(target=read)
    reader.start()
    try:
        for block in blocks(megabytes):
            sent.update(block)
            child.stdin.write(block)
        child.stdin.flush()
        if not all_back.wait(PATIENCE):
            raise Wrong("%d of %d bytes came back while stdin was open" % (came[0], megabytes * 1000000))
        if child.poll() is not None:
            raise Wrong("the client ended, status %d, although stdin is still open" % child.returncode)
        child.stdin.close()
        reader.join(PATIENCE)
        status = child.wait(timeout=PATIENCE)
        if status != 0 or sent.digest() != back.digest():
            raise Wrong("status %d, %d bytes came back, SHA-256 differs" % (status, came[0]))
    finally:
        child.kill()
        child.wait()


def early(megabytes, command):
    child = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
    count, zeros = 0, True
    while True:
        piece = os.read(child.stdout.fileno(), 1 << 20)
        if not piece:
            break
        count += len(piece)
        zeros = zeros and not piece.strip(b"\0")
    status = child.wait(timeout=PATIENCE)
    if (status, count, zeros) != (0, megabytes * 1000000, True):
        raise Wrong("status %d, %d bytes, all zeros: %s" % (status, count, zeros))


class Wrong(Exception):
    pass


class Terminal:
    def __init__(self, command):
        self.pid, self.master = pty.fork()
        if self.pid == 0:
            try:
                os.execvp(command[0], command)
            finally:
                os._exit(127)
        self.seen = b""

    def resize(self, rows, columns):
        fcntl.ioctl(self.master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        os.kill(self.pid, signal.SIGWINCH)

    def type(self, text):
        os.write(self.master, text)

    def expect(self, text):
        """Waits for the text; what came up to its end is forgotten."""
        end = time.monotonic() + PATIENCE
        while text not in self.seen:
            left = end - time.monotonic()
            ready = left > 0 and select.select([self.master], [], [], left)[0]
            try:
                piece = os.read(self.master, 65536) if ready else b""
            except OSError:
                piece = b""
            if not piece:
                raise Wrong("%r did not come; came: %r" % (text, self.seen))
            self.seen += piece
        self.seen = self.seen[self.seen.index(text) + len(text):]

    def close(self):
        """Ends the command if it still runs; its exit status."""
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                return os.waitstatus_to_exitcode(status)
            if select.select([self.master], [], [], 0.05)[0]:
                try:
                    self.seen += os.read(self.master, 65536)
                except OSError:
                    break
        else:
            os.kill(self.pid, signal.SIGKILL)
        return os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])


def leave(command):
    on = Terminal(command)
    try:
        on.type(b"echo again-$((40 + 2))\r")
        on.expect(b"again-42")
        on.type(b"exit 21\r")
        status = on.close()
        if status != 21:
            raise Wrong("status %d instead of 21; came: %r" % (status, on.seen))
    finally:
        os.close(on.master)


def terminal(command):
    on = Terminal(command)
    try:
        # The answers are computed, so that the echo of what is typed is not taken for them.
        on.type(b"echo up-$((40 + 2))\r")
        on.expect(b"up-42")
        for rows, columns in ((33, 101), (44, 132)):
            on.resize(rows, columns)
            # The size travels by a call of its own: the container's shell waits for it.
            on.type(b"until [ \"$(stty size)\" = '%d %d' ]; do sleep 0.1; done; echo sized-$((%d + 1))\r" % (rows, columns, rows))
            on.expect(b"sized-%d" % (rows + 1))
        on.type(b"\x10\x11")
        status = on.close()
        if status != 0:
            raise Wrong("detach ended with status %d; came: %r" % (status, on.seen))
    finally:
        os.close(on.master)


def main(arguments):
    try:
        what = arguments[0]
        if what == "rootfs":
            sys.stdout.buffer.write(rootfs(arguments[1]))
        elif what == "saved":
            sys.stdout.buffer.write(saved(arguments[1], arguments[2]))
        elif what in ("late", "early"):
            {"late": late, "early": early}[what](int(arguments[1]), arguments[2:])
        elif what == "terminal":
            terminal(arguments[1:])
        elif what == "leave":
            leave(arguments[1:])
        else:
            raise IndexError(what)
    except Wrong as wrong:
        sys.exit(str(wrong))
    except IndexError:
        sys.exit(__doc__)


if __name__ == "__main__":
    main(sys.argv[1:])
