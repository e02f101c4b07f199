#!/bin/bash
# Plays the docker command line against a daemon: DOCKER_HOST=unix://SOCKET docker_cli.sh BUSYBOX [API_VERSION]
#
# BUSYBOX is a static busybox to make the image of. Without API_VERSION the client negotiates. Prints `ok NAME` or
# `not ok NAME: why` for each item, last `N passed, N failed`; exit status 0 if none failed, 77 if there is no client.
# What it made it takes away again, also on ctrl-c.
set -u
here=$(cd "$(dirname "$0")" && pwd)
busybox=${1:?a static busybox}
: "${DOCKER_HOST:?unix://SOCKET of the daemon}"
if ! command -v docker >/dev/null; then
    echo "skipped: no docker command on this machine"
    exit 77
fi
if [ -n "${2:-}" ]; then export DOCKER_API_VERSION=$2; fi
export DOCKER_HOST
DOCKER_CONFIG=$(mktemp -d) || exit 1
export DOCKER_CONFIG
mark=cli$$
image=$mark-image:latest
passed=0 failed=0

d() { timeout -k 5 180 docker "$@"; }
stage() { timeout -k 5 180 python3 "$here/stage.py" "$@"; }

remove_containers() {
    local left
    left=$(docker ps -aq --no-trunc --filter "name=$mark" 2>/dev/null)
    [ -z "$left" ] || docker rm -f $left >/dev/null 2>&1
}
clean_up() {
    local left
    remove_containers
    for left in "$image" "$mark-loaded:latest" "$mark-tag:x" "$mark-vanish:latest"; do
        docker rmi -f "$left" >/dev/null 2>&1
    done
    rm -rf "$DOCKER_CONFIG"
}
trap clean_up EXIT
trap 'exit 130' INT TERM

# item NAME FUNCTION: it passes if no command in the function fails
item() {
    local said status
    said=$(set -eu; "$2" 2>&1)
    status=$?
    if [ $status -eq 0 ]; then
        echo "ok $1"
        passed=$((passed + 1))
    else
        echo "not ok $1: status $status: $(tail -n 3 <<<"$said" | tr '\n' ' ' | cut -c1-400)"
        failed=$((failed + 1))
        remove_containers
    fi
}

same() { [ "$1" = "$2" ] || { echo "${3:-it} is '$2', wanted '$1'"; return 1; }; }
holds() { case $2 in *"$1"*) ;; *) echo "'$2' does not hold '$1'"; return 1 ;; esac; }

# status WANTED COMMAND...: what the command ends with; its output is put into $said
status() {
    local wanted=$1 got=0
    shift
    said=$("$@" 2>&1) || got=$?
    same "$wanted" "$got" "status of $* ($said)"
}

# until_seen COMMAND...: polls a question to the daemon until it is true
until_seen() {
    local end=$((SECONDS + 30))
    until "$@" >/dev/null 2>&1; do
        [ $SECONDS -lt $end ] || { echo "never came true: $*"; return 1; }
        sleep 0.05
    done
}
state_is() { [ "$(d inspect --format '{{.State.Running}}' "$1")" = "$2" ]; }
logged() { d logs "$1" 2>&1 | grep -q "$2"; }

version() { d version --format '{{.Server.Version}}' | grep -q .; }
info() { d info --format '{{.ContainersRunning}} {{.Images}}' | grep -Eq '^[0-9]+ [0-9]+$'; }
import() { stage rootfs "$busybox" | d import - "$image" | grep -Eq '^(sha256:)?[0-9a-f]{12,64}$'; }
images() { holds "$mark-image latest" "$(d images --format '{{.Repository}} {{.Tag}}')"; }
tag() {
    d tag "$image" "$mark-tag:x"
    holds "$mark-tag x" "$(d images --format '{{.Repository}} {{.Tag}}')"
}
rmi() {
    holds "Untagged: $mark-tag:x" "$(d rmi "$mark-tag:x")"
    status 1 d rmi "$mark-tag:x"
    d inspect --type image "$image" >/dev/null
}
load() {
    stage saved "$busybox" "$mark-loaded:latest" | d load >/dev/null
    same loaded "$(d run --rm --name "$mark-l" "$mark-loaded:latest" echo loaded)" output
    d rmi "$mark-loaded:latest" >/dev/null
}
run_echo() {
    same hi "$(d run --rm --name "$mark-hi" "$image" echo hi)" output
    status 1 d inspect --type container "$mark-hi"
}
apart() {
    local out err
    err=$(mktemp)
    out=$(d run --rm --name "$mark-a" "$image" sh -c 'echo out; echo err >&2; echo more' 2>"$err")
    same $'out\nmore' "$out" stdout
    # Below v1.25 the client itself removes the container, and ends that call, loudly, if the event comes before its answer.
    same err "$(grep -v 'error removing container: .*context canceled' "$err")" stderr
    rm -f "$err"
}
codes() {
    status 0 d run --rm --name "$mark-c" "$image" true
    status 1 d run --rm --name "$mark-c" "$image" false
    status 42 d run --rm --name "$mark-c" "$image" sh -c 'exit 42'
    # The first process of a container is safe from itself, so the signal has to come from outside.
    d run --rm --name "$mark-c" "$image" sleep 600 &
    local client=$! got=0
    until_seen state_is "$mark-c" true
    d kill "$mark-c" >/dev/null
    wait $client || got=$?
    same 137 $got 'status of a killed run'
}
code_125() {
    status 125 d run --rm --name "$mark-c" "$mark-no-such-image" true
    status 125 d run --rm --name 'bad name!' "$image" true
    holds 'Invalid container name' "$said"
}
code_126() {
    status 126 d run --name "$mark-c" "$image" /bin/notexec
    same 126 "$(d inspect --format '{{.State.ExitCode}}' "$mark-c")" 'exit code by inspect'
    d rm "$mark-c" >/dev/null
}
code_127() {
    status 127 d run --name "$mark-c" "$image" nosuchcommand
    same 127 "$(d inspect --format '{{.State.ExitCode}}' "$mark-c")" 'exit code by inspect'
    d rm "$mark-c" >/dev/null
}
# Below v1.25 the client removes the container itself, and only once it has seen the event `die` of the failed start.
rm_of_failed() {
    status 127 timeout -k 1 20 docker run --rm --name "$mark-c" "$image" nosuchcommand
    status 126 timeout -k 1 20 docker run --rm --name "$mark-c" "$image" /bin/notexec
}
nothing_of_failures() { same '' "$(d ps -aq --filter "name=$mark-c")" 'containers left by failed runs'; }
stdin_sha() {
    local sum
    sum=$(head -c 100000000 /dev/urandom | tee >(sha256sum | cut -d' ' -f1 >"$DOCKER_CONFIG/sum") |
        d run --rm -i --name "$mark-s" "$image" cat | sha256sum | cut -d' ' -f1)
    same "$(cat "$DOCKER_CONFIG/sum")" "$sum" SHA-256
}
stdin_late() { stage late 100 docker run --rm -i --name "$mark-s" "$image" cat; }
stdin_early() {
    stage early 100 docker run --rm -i --name "$mark-s" "$image" sh -c 'cat; dd if=/dev/zero bs=1000000 count=100 2>/dev/null'
}
stdin_unread() {
    # The container ends while the client is still sending: the client must come back with its status.
    status 6 sh -c "head -c 50000000 /dev/zero | timeout -k 5 60 docker run --rm -i --name $mark-s $image sh -c 'head -c 10 >/dev/null; exit 6'"
}
terminal() {
    stage terminal docker run -it --name "$mark-t" "$image" sh
    until_seen state_is "$mark-t" true
    stage leave docker attach "$mark-t"
    same 21 "$(d inspect --format '{{.State.ExitCode}}' "$mark-t")" 'exit code'
    d rm "$mark-t" >/dev/null
}
detached() {
    d run -d --name "$mark-d" "$image" sh -c 'trap "exit 5" TERM; echo one; echo two >&2; while :; do sleep 0.1; done' | grep -Eq '^[0-9a-f]{64}$'
    until_seen logged "$mark-d" two
    holds "$mark-d" "$(d ps --format '{{.Names}}')"
    same one "$(d logs "$mark-d" 2>/dev/null)" 'stdout of logs'
    same two "$(d logs "$mark-d" 2>&1 >/dev/null)" 'stderr of logs'
    d stop -t 10 "$mark-d" >/dev/null
    same 5 "$(d wait "$mark-d")" 'exit code by wait'
    holds "$mark-d Exited (5)" "$(d ps -a --format '{{.Names}} {{.Status}}')"
    d rm "$mark-d" >/dev/null
}
follow() {
    d run -d -i --name "$mark-f" "$image" sh -c 'echo first; read line; echo "$line"' >/dev/null
    d logs -f "$mark-f" >"$DOCKER_CONFIG/follow" &
    local follower=$!
    until_seen grep -q first "$DOCKER_CONFIG/follow"
    echo last | d attach "$mark-f" >/dev/null
    wait $follower
    same $'first\nlast' "$(cat "$DOCKER_CONFIG/follow")" 'what was followed'
    d rm "$mark-f" >/dev/null
}
attach() {
    d run -d -i --name "$mark-x" "$image" sh -c 'read line; echo "got $line"; exit 8' >/dev/null
    # stdin stays open until the container has ended: its end alone would detach from a container without StdinOnce.
    { echo word; d wait "$mark-x" >/dev/null; } | { status 8 d attach "$mark-x"; holds 'got word' "$said"; }
    d rm "$mark-x" >/dev/null
}
kill_signal() {
    d run -d --name "$mark-k" "$image" sh -c 'trap "exit 9" USR1; echo up; while :; do sleep 0.1; done' >/dev/null
    until_seen logged "$mark-k" up
    d kill -s USR1 "$mark-k" >/dev/null
    same 9 "$(d wait "$mark-k")" 'exit code after USR1'
    d start "$mark-k" >/dev/null
    d kill "$mark-k" >/dev/null
    same 137 "$(d wait "$mark-k")" 'exit code after KILL'
    d rm "$mark-k" >/dev/null
}
refused() {
    d run -d --name "$mark-r" "$image" sleep 600 >/dev/null
    d start "$mark-r" >/dev/null
    status 1 d rm "$mark-r"
    holds 'annot remove' "$said"
    status 125 d run --name "$mark-r" "$image" true
    holds "$mark-r" "$said"
    status 1 d inspect --type container "$mark-none"
    d rm -f "$mark-r" >/dev/null
    status 1 d inspect --type container "$mark-r"
}

# vanish QUESTION COMMAND...: starts a client, waits for the question to be true, kills the client alone
vanish() {
    local question=$1 client
    shift
    "$@" >/dev/null 2>&1 <"$DOCKER_CONFIG/zeros" &
    client=$!
    until_seen $question
    kill -9 $client 2>/dev/null || true
    wait $client 2>/dev/null || true
    d version >/dev/null
}
vanishing() {
    ln -sf /dev/zero "$DOCKER_CONFIG/zeros"
    vanish "state_is $mark-v true" docker run --name "$mark-v" "$image" sleep 600
    until_seen state_is "$mark-v" true
    vanish true docker logs -f "$mark-v"
    vanish true docker attach "$mark-v"
    vanish true docker wait "$mark-v"
    vanish true docker events
    vanish true docker stop -t 2 "$mark-v"
    vanish "state_is $mark-w true" docker run -i --name "$mark-w" "$image" cat
    vanish true docker rm -f "$mark-w"
    vanish true docker import - "$mark-vanish:latest"
    vanish true docker load
    d rm -f "$mark-v" >/dev/null
    until_seen sh -c "! docker inspect --type container $mark-w"  || d rm -f "$mark-w" >/dev/null
    same hi "$(d run --rm --name "$mark-hi" "$image" echo hi)" 'output afterwards'
    status 1 d inspect --type image "$mark-vanish:latest"
}
nothing_left() {
    d rmi "$image" >/dev/null
    same '' "$(d ps -aq --filter "name=$mark")" containers
    same '' "$(d images --format '{{.Repository}}' | grep "$mark" || true)" images
}

item version version
item info info
item import import
item images images
item tag tag
item rmi rmi
item load load
item 'run --rm echo' run_echo
item 'stdout and stderr apart' apart
item 'exit codes 0, 1, 42, 137' codes
item 'exit code 125' code_125
item 'exit code 126' code_126
item 'exit code 127' code_127
item 'run --rm of what cannot start' rm_of_failed
item 'failed runs leave nothing' nothing_of_failures
item 'run -i cat, 100 MB' stdin_sha
item 'run -i cat, 100 MB, stdin ended late' stdin_late
item 'run -i, stdin ended early, 100 MB back' stdin_early
item 'run -i, container ends first' stdin_unread
item 'run -it, resize, detach, attach' terminal
item 'run -d, ps, logs, stop, wait' detached
item 'logs -f' follow
item attach attach
item 'kill -s' kill_signal
item 'what is refused' refused
item 'vanishing clients' vanishing
item 'nothing left' nothing_left
echo "$passed passed, $failed failed"
[ $failed -eq 0 ]
