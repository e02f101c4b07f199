"""Plays docker-py against a daemon, whatever its generation: docker-py 0.2 of 2013, 1.10 of 2016, docker 7 of today.

    DOCKER_HOST=unix://SOCKET PLACE/python docker_py.py BUSYBOX [API_VERSION]

PLACE is one of those that setup.sh makes; it decides which client is played. BUSYBOX is a static busybox to make the
image of. Without API_VERSION each client speaks what it speaks by itself: 1.6 in 2013, later what is negotiated.
Prints `ok NAME`, `not ok NAME: why` or `skipped NAME: why` for each item, last `N passed, N failed`; exit status 0 if
none failed. Runs under Python 2.7 and 3. The client stays as it was published.
"""

from __future__ import print_function

import hashlib
import io
import os
import signal
import struct
import subprocess
import sys
import tempfile
import threading
import time

import docker

PATIENCE = 60
MARK = "py%d" % os.getpid()
IMAGE = MARK + "-image"

# The oldest ones have no version in the package; what they can do tells them apart.
SESSION = getattr(docker, "APIClient", None) or docker.Client
GENERATION = 7 if hasattr(docker, "APIClient") else 1 if hasattr(docker.Client, "exec_create") else 0


class Wrong(Exception):
    pass


class NotThere(Exception):
    """The client of that generation has no such call."""


def same(wanted, got, what="it"):
    if wanted != got:
        raise Wrong("%s is %r, wanted %r" % (what, got, wanted))


def until(question, what):
    end = time.time() + 30
    while not question():
        if time.time() > end:
            raise Wrong("never came true: " + what)
        time.sleep(0.05)


def client():
    arguments = {"base_url": os.environ["DOCKER_HOST"], "timeout": PATIENCE}
    if len(sys.argv) > 2:
        arguments["version"] = sys.argv[2]
    elif GENERATION > 0:
        arguments["version"] = "auto"
    return SESSION(**arguments)


class Daemon(object):
    """One face for the three generations; every method is one call of the client."""

    def __init__(self):
        self.client = client()
        self.version = tuple(int(part) for part in self.client._version.split("."))

    def create(self, name, command, image=IMAGE, **more):
        return self.client.create_container(image, command, name=MARK + "-" + name, **more)["Id"]

    def run(self, name, command, **more):
        box = self.create(name, command, **more)
        self.client.start(box)
        return box

    def wait(self, box):
        answer = self.client.wait(box)
        return answer["StatusCode"] if isinstance(answer, dict) else answer

    def remove(self, box, force=False):
        if force and GENERATION == 0:
            try:
                self.client.kill(box)
            except docker.APIError:
                pass
            self.wait(box)
            self.client.remove_container(box)
        elif force:
            self.client.remove_container(box, force=True)
        else:
            self.client.remove_container(box)

    def running(self, box):
        return self.client.inspect_container(box)["State"]["Running"]

    def logs(self, box):
        answer = self.client.logs(box)
        answer = answer if isinstance(answer, bytes) else answer.encode("utf-8")
        if GENERATION == 0 and answer[1:4] == b"\0\0\0":
            # That client takes frames off in version 1.6 alone: it compares versions as text.
            answer = b"".join(split(answer)[0])
        return answer


def split(buffered):
    """Takes whole frames off: payloads of stdout and stderr together, payloads by stream, and what is left over."""
    streams, at = ([], [], []), 0
    while len(buffered) - at >= 8:
        stream, length = struct.unpack_from(">BxxxL", buffered, at)
        if stream > 2:
            raise Wrong("malformed frame header %r" % buffered[at : at + 8])
        if len(buffered) - at - 8 < length:
            break
        streams[stream].append(buffered[at + 8 : at + 8 + length])
        at += 8 + length
    return streams[1] + streams[2], streams, buffered[at:]


def keeping(daemon, box, *streams):
    """Attach without losing the objects that own the socket: some clients close it when they are collected."""
    params = dict((stream, 1) for stream in streams)
    params["stream"] = 1
    got = daemon.client.attach_socket(box, params)
    bare = getattr(got, "_sock", got)
    bare.settimeout(PATIENCE)
    KEPT.append(got)
    return bare


KEPT = []


def read_all(bare, framed):
    """Takes the stream apart: by stream the hash, the length and the first bytes."""
    streams = {0: [hashlib.sha256(), 0, b""], 1: [hashlib.sha256(), 0, b""], 2: [hashlib.sha256(), 0, b""]}

    def put(stream, data):
        streams[stream][0].update(data)
        streams[stream][1] += len(data)
        if len(streams[stream][2]) < 4096:
            streams[stream][2] += data

    buffered = b""
    while True:
        piece = bare.recv(1 << 18)
        if not piece:
            break
        if not framed:
            put(1, piece)
            continue
        _, taken, buffered = split(buffered + piece)
        for stream, payloads in enumerate(taken):
            for payload in payloads:
                put(stream, payload)
    if buffered:
        raise Wrong("the last frame is cut off")
    return streams


def framed(daemon):
    return daemon.version >= (1, 6)


def rootfs():
    here = os.path.dirname(os.path.abspath(__file__))
    return subprocess.check_output(["python3", os.path.join(here, "stage.py"), "rootfs", sys.argv[1]])


def saved(name):
    here = os.path.dirname(os.path.abspath(__file__))
    return subprocess.check_output(["python3", os.path.join(here, "stage.py"), "saved", sys.argv[1], name])


def item_version(d):
    if not d.client.version()["Version"]:
        raise Wrong("no Version")


def item_info(d):
    if not isinstance(d.client.info()["Images"], int):
        raise Wrong("Images is no number")


def item_import(d):
    with tempfile.NamedTemporaryFile(suffix=".tar") as tar:
        tar.write(rootfs())
        tar.flush()
        if GENERATION == 0 and sys.version_info[0] == 3:
            # import_image of 2013 opens the file as text, which Python 3 refuses; the call below it is the same.
            tar.seek(0)
            url = d.client._url("/images/create")
            d.client._result(d.client._post(url, data=tar, params={"repo": IMAGE, "fromSrc": "-"}))
        else:
            d.client.import_image(tar.name, repository=IMAGE)
    d.client.inspect_image(IMAGE)


def item_images(d):
    names = []
    for image in d.client.images():
        names += image.get("RepoTags") or ["%s:%s" % (image.get("Repository"), image.get("Tag"))]
    if IMAGE + ":latest" not in names:
        raise Wrong("%s is not among %r" % (IMAGE, names))


def item_tag_and_rmi(d):
    d.client.tag(IMAGE, MARK + "-tag", tag="x")
    d.client.inspect_image(MARK + "-tag:x")
    d.client.remove_image(MARK + "-tag:x")
    refused(404, d.client.inspect_image, MARK + "-tag:x")
    d.client.inspect_image(IMAGE)


def item_load(d):
    if not hasattr(d.client, "load_image"):
        raise NotThere("this generation has no load")
    name = MARK + "-loaded:latest"
    answer = d.client.load_image(io.BytesIO(saved(name)))
    for _ in answer or ():
        pass
    box = d.run("loaded", ["true"], image=name)
    same(0, d.wait(box), "exit code")
    d.remove(box)
    d.client.remove_image(name)


def item_echo(d):
    box = d.create("echo", ["echo", "hi"])
    bare = keeping(d, box, "stdout", "stderr")
    d.client.start(box)
    same(b"hi\n", read_all(bare, framed(d))[1][2], "stdout")
    same(0, d.wait(box), "exit code")
    d.remove(box)


def item_apart(d):
    box = d.create("apart", ["sh", "-c", "echo out; echo err >&2"])
    bare = keeping(d, box, "stdout", "stderr")
    d.client.start(box)
    streams = read_all(bare, framed(d))
    if framed(d):
        same((b"out\n", b"err\n"), (streams[1][2], streams[2][2]), "stdout and stderr")
    else:
        same(8, streams[1][1], "bytes of both")
    d.wait(box)
    d.remove(box)


def item_exit_codes(d):
    for code in (0, 1, 42):
        box = d.run("code", ["sh", "-c", "exit %d" % code])
        same(code, d.wait(box), "exit code")
        same(code, d.client.inspect_container(box)["State"]["ExitCode"], "exit code by inspect")
        d.remove(box)
    box = d.run("code", ["sleep", "600"])
    d.client.kill(box)
    same(137, d.wait(box), "exit code of a killed one")
    d.remove(box)
    for command, code in (("nosuchcommand", 127), ("/bin/notexec", 126)):
        box = d.create("code", [command])
        refused((400, 404, 500), d.client.start, box)
        same(False, d.running(box), "Running")
        if d.version >= (1, 21):
            same(code, d.client.inspect_container(box)["State"]["ExitCode"], "exit code of " + command)
        d.remove(box)


def feed(bare, megabytes, sent):
    for number in range(megabytes):
        block = hashlib.sha256(str(number).encode("ascii")).digest() * 31250
        sent.update(block)
        bare.sendall(block)


def once(d, name, command):
    """A container whose stdin ends with the client's: not every generation can say so by itself."""
    config = {
        "Image": IMAGE, "Cmd": command, "OpenStdin": True, "StdinOnce": True,
        "AttachStdin": True, "AttachStdout": True, "AttachStderr": True,
    }
    return d.client.create_container_from_config(config, MARK + "-" + name)["Id"]


def cat_100_mb(d, late):
    box = once(d, "cat", ["cat"])
    bare = keeping(d, box, "stdin", "stdout", "stderr")
    d.client.start(box)
    sent, wrong = hashlib.sha256(), []

    def send():
        try:
            feed(bare, 100, sent)
            if late:
                until(lambda: came[0] >= 100000000, "all bytes back while stdin is open")
            bare.shutdown(1)
        except Exception as error:  # told by the thread that waits
            wrong.append(error)

    came = [0]

    class Counting(object):
        def recv(self, size):
            piece = bare.recv(size)
            came[0] += len(piece)
            return piece

    sender = threading.Thread(target=send)
    sender.start()
    streams = read_all(Counting(), framed(d))
    sender.join(PATIENCE)
    if wrong:
        raise wrong[0]
    same(100000000, streams[1][1], "bytes of stdout")
    same(sent.hexdigest(), streams[1][0].hexdigest(), "SHA-256")
    same(0, Daemon().wait(box), "exit code")
    d.remove(box)


def item_cat_100_mb(d):
    cat_100_mb(d, False)


def item_cat_100_mb_late_end(d):
    cat_100_mb(d, True)


def item_early_end_100_mb_back(d):
    box = once(d, "early", ["sh", "-c", "cat; dd if=/dev/zero bs=1000000 count=100 2>/dev/null"])
    bare = keeping(d, box, "stdin", "stdout", "stderr")
    d.client.start(box)
    bare.shutdown(1)
    same(100000000, read_all(bare, framed(d))[1][1], "bytes of stdout")
    d.wait(box)
    d.remove(box)


def item_terminal_and_resize(d):
    box = d.create("tty", ["sh"], stdin_open=True, tty=True)
    bare = keeping(d, box, "stdin", "stdout", "stderr")
    d.client.start(box)
    seen = [b""]

    def expect(text):
        while text not in seen[0]:
            piece = bare.recv(4096)
            if not piece:
                raise Wrong("%r did not come; came: %r" % (text, seen[0]))
            seen[0] += piece
        seen[0] = seen[0][seen[0].index(text) + len(text):]

    bare.sendall(b"echo up-$((40 + 2))\n")
    expect(b"up-42")
    if hasattr(d.client, "resize"):
        d.client.resize(box, height=33, width=101)
        bare.sendall(b"until [ \"$(stty size)\" = '33 101' ]; do sleep 0.1; done; echo sized-$((1 + 1))\n")
        expect(b"sized-2")
    bare.sendall(b"\x10\x11")
    while bare.recv(4096):
        pass
    same(True, d.running(box), "Running after ctrl-p ctrl-q")
    bare = keeping(d, box, "stdin", "stdout", "stderr")
    seen[0] = b""
    bare.sendall(b"echo again-$((40 + 2))\n")
    expect(b"again-42")
    bare.sendall(b"exit 21\n")
    while bare.recv(4096):
        pass
    same(21, d.wait(box), "exit code")
    d.remove(box)


def item_detached_life(d):
    box = d.run("life", ["sh", "-c", "trap 'exit 5' TERM; echo one; echo two >&2; while :; do sleep 0.1; done"], detach=True)
    until(lambda: b"two" in d.logs(box), "both lines in the log")
    same([b"one", b"two"], sorted(d.logs(box).split()), "logs")
    listed = [entry for entry in d.client.containers() if entry["Id"] == box or box.startswith(entry["Id"])]
    same(1, len(listed), "entries in the list")
    d.client.stop(box, timeout=10)
    same(5, d.wait(box), "exit code")
    listed = [entry for entry in d.client.containers(all=True) if entry["Id"] == box or box.startswith(entry["Id"])]
    if not listed or "Exit" not in listed[0]["Status"]:
        raise Wrong("listed as %r" % listed)
    d.remove(box)


def item_follow(d):
    if GENERATION == 0:
        raise NotThere("its logs cannot follow")
    box = once(d, "follow", ["sh", "-c", "echo first; read line; echo $line"])
    bare = keeping(d, box, "stdin")
    d.client.start(box)
    stream = Daemon().client.logs(box, stream=True, follow=True)
    got = next(iter(stream))
    bare.sendall(b"last\n")
    bare.shutdown(1)
    for piece in stream:
        got += piece
    same(b"first\nlast\n", got, "what was followed")
    d.wait(box)
    d.remove(box)


def item_kill_signal(d):
    box = d.run("kill", ["sh", "-c", "trap 'exit 9' USR1; echo up; while :; do sleep 0.1; done"], detach=True)
    until(lambda: b"up" in d.logs(box), "up in the log")
    d.client.kill(box, signal="USR1")
    same(9, d.wait(box), "exit code")
    d.remove(box)


def refused(statuses, call, *arguments, **named):
    statuses = statuses if isinstance(statuses, tuple) else (statuses,)
    try:
        call(*arguments, **named)
    except Exception as error:
        response = getattr(error, "response", None)
        status = getattr(response, "status_code", None)
        if status not in statuses:
            raise Wrong("%s: status %r, wanted one of %r: %s" % (call.__name__, status, statuses, error))
        return
    raise Wrong("%s was not refused" % call.__name__)


def item_refused(d):
    refused(404, d.client.inspect_container, MARK + "-none")
    refused(404, d.client.inspect_image, MARK + "-none")
    refused(404, d.client.create_container, MARK + "-none", ["true"])
    refused((400, 500), d.client.create_container, IMAGE, ["true"], name="bad name!")
    box = d.run("refused", ["sleep", "600"], detach=True)
    refused(409, d.client.remove_container, box)
    refused(409, d.client.create_container, IMAGE, ["true"], name=MARK + "-refused")
    d.client.start(box)
    d.remove(box, force=True)
    refused(404, d.client.inspect_container, box)


def vanish(work):
    """Runs the work in a process of its own, which says when it is under way, and kills that."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.close(reader)
            with open(os.devnull, "w") as nothing:
                os.dup2(nothing.fileno(), 2)
            work(lambda: os.write(writer, b"x"))
        finally:
            os._exit(1)
    os.close(writer)
    said = os.read(reader, 1)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    os.close(reader)
    if not said:
        raise Wrong("the client failed before it could vanish")


def item_vanishing(d):
    box = d.run("vanish", ["sh", "-c", "while :; do echo x; done"], detach=True)

    def attached(ready):
        bare = keeping(Daemon(), box, "stdout")
        bare.recv(1)
        ready()
        time.sleep(PATIENCE)

    def waiting(ready):
        mine = Daemon()
        mine.running(box)
        ready()
        mine.wait(box)

    def stopping(ready):
        mine = Daemon()
        mine.running(box)
        ready()
        mine.client.stop(box, timeout=2)

    vanish(attached)
    vanish(waiting)
    same(True, d.running(box), "Running after clients vanished")
    vanish(stopping)
    d.remove(box, force=True)
    box = once(d, "vanish-in", ["cat"])

    def feeding(ready):
        bare = keeping(Daemon(), box, "stdin", "stdout")
        Daemon().client.start(box)
        bare.sendall(b"x" * 100000)
        ready()
        bare.sendall(b"x" * 100000000)

    vanish(feeding)
    d.wait(box)
    d.remove(box)
    d.client.version()


def item_nothing_left(d):
    d.client.remove_image(IMAGE)
    left = [c["Id"] for c in d.client.containers(all=True) if any(MARK in name for name in c.get("Names") or [])]
    same([], left, "containers left")
    refused(404, d.client.inspect_image, IMAGE)


ITEMS = [
    item_version, item_info, item_import, item_images, item_tag_and_rmi, item_load, item_echo, item_apart,
    item_exit_codes, item_cat_100_mb, item_cat_100_mb_late_end, item_early_end_100_mb_back, item_terminal_and_resize,
    item_detached_life, item_follow, item_kill_signal, item_refused, item_vanishing, item_nothing_left,
]


def clean_up(d, name):
    """Takes away what a failed item left, so that the next ones are not hit by it."""
    for box in d.client.containers(all=True):
        names = box.get("Names") or [d.client.inspect_container(box["Id"]).get("Name", "")]
        if any(MARK in name for name in names):
            try:
                d.remove(box["Id"], force=True)
            except Exception as error:
                print("cannot clean up after %s: %s" % (name, error), file=sys.stderr)


def main():
    passed = failed = 0
    for item in ITEMS:
        name = item.__name__[len("item_"):].replace("_", " ")
        try:
            d = Daemon()
            item(d)
            print("ok " + name)
            passed += 1
        except NotThere as why:
            print("skipped %s: %s" % (name, why))
        except Exception as why:
            text = " ".join(("%s: %s" % (type(why).__name__, why)).split())
            print("not ok %s: %s" % (name, text[:400]))
            failed += 1
            try:
                clean_up(Daemon(), name)
            except Exception as error:
                print("cannot clean up after %s: %s" % (name, error), file=sys.stderr)
        sys.stdout.flush()
        del KEPT[:]
    print("%d passed, %d failed" % (passed, failed))
    return 1 if failed else 0


if __name__ == "__main__":
    if len(sys.argv) < 2 or "DOCKER_HOST" not in os.environ:
        sys.exit(__doc__)
    sys.exit(main())
