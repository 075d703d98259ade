# Sourced by `tests/run` and `conformance/run`: which programs this machine has, and how the others are installed.
# A need is `program:package`, the package being Debian's.

# Whether this machine has it. Of busybox only a static one is any use: images are made of it.
has() {
  case $1 in
    busybox) [ -x /bin/busybox ] && ! grep -q '/lib[^ ]*/ld-[^ ]*so' <(head -c 4096 /bin/busybox | tr '\0' '\n') ;;
    docker) [ -x /usr/bin/docker ] || command -v docker >/dev/null ;;
    *) command -v "$1" >/dev/null || [ -x "/usr/sbin/$1" ] || [ -x "/sbin/$1" ] ;;
  esac
}

# Of these needs those that this machine lacks, one a line.
missing() {
  local need
  for need in "$@"; do
    has "${need%%:*}" || echo "$need"
  done
}

# Installs packages without starting any service: the tests start private daemons themselves.
install() {
  local log policy=/usr/sbin/policy-rc.d made='' package available=()
  log=$(mktemp)
  if [ ! -e "$policy" ]; then
    printf '#!/bin/sh\nexit 101\n' >"$policy" && chmod 755 "$policy" && made=$policy
  fi
  export DEBIAN_FRONTEND=noninteractive
  apt-get update >"$log" 2>&1 || cat "$log"
  for package in "$@"; do
    # Between Debian's releases some packages were split; what this release does not have is not needed.
    if apt-cache show "$package" >/dev/null 2>&1; then available+=("$package"); fi
  done
  echo "Installing: ${available[*]}"
  apt-get install --yes --no-install-recommends "${available[@]}" >"$log" 2>&1 || { tail -30 "$log"; echo "apt-get install failed"; }
  [ -z "$made" ] || rm -f "$made"
  rm -f "$log"
}

# Installs what is missing of these needs, where that can be done: as root, with apt-get. `lacking` holds what is still missing then.
ensure() {
  mapfile -t lacking < <(missing "$@")
  if [ ${#lacking[@]} -gt 0 ] && [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    local packages
    mapfile -t packages < <(printf '%s\n' "${lacking[@]#*:}" | sort -u)
    install "${packages[@]}"
    mapfile -t lacking < <(missing "$@")
  fi
}
