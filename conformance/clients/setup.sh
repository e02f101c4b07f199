#!/bin/bash
# Makes the places in which the old and new clients run: setup.sh FOLDER
#
#   FOLDER/docker-py-7      docker 7 of 2024 and later, its newest dependencies
#   FOLDER/docker-py-1.10   docker-py 1.10.6 of 2016, with requests 2.31, the last that it can work with
#   FOLDER/docker-py-0.2    docker-py 0.2.3 of 2013 with requests 1.2.3 of 2013, under Python 2.7 where there is one,
#                           else under Python 3 with the names of compat/ put back
# Each holds an executable `python` that runs a script with that client. What is there already is left alone. Packages
# come from the index that pip is set up for; without one, a place is not made and the exit status is 1.
set -u
here=$(cd "$(dirname "$0")" && pwd)
folder=${1:?a folder for the clients}
mkdir -p "$folder" && folder=$(cd "$folder" && pwd) || exit 1
status=0

python27() {
    local found
    for found in "$(command -v python2.7)" "${PYENV_ROOT:-$HOME/.pyenv}"/versions/2.7*/bin/python2.7; do
        if [ -x "$found" ] && "$found" -m pip --version >/dev/null 2>&1; then
            echo "$found"
            return
        fi
    done
}

# launcher PLACE: a script `python` from stdin, the sign that the place is complete
launcher() {
    cat >"$1/python.new" && chmod +x "$1/python.new" && mv "$1/python.new" "$1/python"
}

# place NAME PACKAGE...: a virtual environment of Python 3 with these packages, without looking for others
place() {
    local at=$folder/$1
    shift
    python3 -m venv "$at/venv" && "$at/venv/bin/python" -m pip install -q "$@" && launcher "$at" <<END
#!/bin/sh
exec "$at/venv/bin/python" "\$@"
END
}

place_2013() {
    local at=$folder/docker-py-0.2 old
    mkdir -p "$at" || return
    old=$(python27)
    if [ -n "$old" ]; then
        rm -rf "$at/site"
        "$old" -m pip install -q --target "$at/site" \
            docker-py==0.2.3 requests==1.2.3 six==1.3.0 websocket-client==0.11.0 2>"$at/log" || { cat "$at/log" >&2; return 1; }
        launcher "$at" <<END
#!/bin/sh
PYTHONPATH="$at/site" exec "$old" "\$@"
END
    else
        # These packages build by setup.py alone, which newer setuptools refuse for them.
        export PYTHONPATH=$here/compat
        python3 -m venv "$at/venv" && "$at/venv/bin/python" -m pip install -q 'setuptools<58' wheel &&
            "$at/venv/bin/python" -m pip install -q --no-deps --no-build-isolation \
                docker-py==0.2.3 requests==1.2.3 six==1.16.0 && launcher "$at" <<END
#!/bin/sh
PYTHONPATH="$here/compat" exec "$at/venv/bin/python" "\$@"
END
    fi
}

# make NAME COMMAND...: unless it is there
make() {
    local name=$1
    shift
    if [ -x "$folder/$name/python" ]; then
        echo "$name: there already"
    elif "$@"; then
        echo "$name: made"
    else
        echo "$name: cannot be made" >&2
        status=1
    fi
}

make docker-py-7 place docker-py-7 'docker>=7,<8'
make docker-py-1.10 place docker-py-1.10 \
    docker-py==1.10.6 requests==2.31.0 urllib3==1.26.20 websocket-client==0.59.0
make docker-py-0.2 place_2013
exit $status
