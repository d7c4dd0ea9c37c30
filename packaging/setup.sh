# Sourced by run.sh and test.sh: OS libraries, a virtual environment in the checkout, pinned versions.
# Does nothing but compare one line when everything is there.

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
venv="$root/.venv"
debian_packages="python3-venv libglib2.0-0 libegl1 libgl1 libopengl0 libxkbcommon0 libxkbcommon-x11-0 libdbus-1-3 libfontconfig1 \
libxcb-cursor0 libxcb-icccm4 libxcb-image0 libxcb-keysyms1 libxcb-render-util0 libxcb-shape0 libxcb-xinerama0 \
libportaudio2 fonts-dejavu-core"

say() { printf '%s\n' "$*" >&2; }

missing_libraries() {
    known=$(ldconfig -p 2>/dev/null || /sbin/ldconfig -p 2>/dev/null || true)
    for library in libglib-2.0.so.0 libEGL.so.1 libGL.so.1 libOpenGL.so.0 libxkbcommon-x11.so.0 libdbus-1.so.3 libfontconfig.so.1 \
        libxcb-cursor.so.0 libxcb-icccm.so.4 libxcb-image.so.0 libxcb-keysyms.so.1 libxcb-render-util.so.0 \
        libxcb-shape.so.0 libxcb-xinerama.so.0 libportaudio.so.2; do
        case "$known" in *"$library"*) ;; *) echo "$library" ;; esac
    done
    python3 -c 'import ensurepip' 2>/dev/null || echo python3-venv
}

install_packages() { # names of Debian packages
    command -v apt-get >/dev/null || return 1
    if [ "$(id -u)" = 0 ]; then as_root=""; elif sudo -n true 2>/dev/null; then as_root="sudo -n"; else return 1; fi
    say "Installing: $*"
    $as_root apt-get update -qq && DEBIAN_FRONTEND=noninteractive $as_root apt-get install -y -qq --no-install-recommends "$@" >/dev/null
}

ensure_os_libraries() {
    [ "$(uname)" = Linux ] || return 0
    missing=$(missing_libraries)
    [ -z "$missing" ] && return 0
    # shellcheck disable=SC2086
    install_packages $debian_packages && return 0
    say "These libraries are missing: $(echo $missing)"
    say "Install them with this line, then start again:"
    say "    sudo apt-get install -y $debian_packages"
    exit 1
}

ensure_environment() { # "[onnx]" or "[dev]"
    wanted=$(cat "$root/pyproject.toml" "$root/packaging/constraints.txt" | cksum)
    ready=
    [ -f "$venv/ready" ] && IFS= read -r ready < "$venv/ready"
    # Whoever has the checks' environment has the studio's too.
    if [ "$ready" = "$1 $wanted" ] || [ "$ready" = "[dev] $wanted" ]; then return 0; fi
    if ! python3 -c 'import sys; sys.exit(sys.version_info < (3, 11))'; then
        say "Multimodal Studio needs Python 3.11 or newer; python3 is $(python3 --version 2>&1)."
        exit 1
    fi
    ensure_os_libraries
    "$venv/bin/python" -m pip --version >/dev/null 2>&1 || python3 -m venv --clear "$venv"
    say "Installing what the studio needs (some gigabytes at the first time, torch among them)…"
    "$venv/bin/python" -m pip install --quiet --disable-pip-version-check \
        --constraint "$root/packaging/constraints.txt" --editable "$root$1"
    echo "$1 $wanted" > "$venv/ready"
}
