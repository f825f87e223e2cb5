/** What the built-in base image is made of. Pure: the same recipe has the same key on every machine. */
import { createHash } from 'node:crypto';

/** Everything that decides what is in the base image. */
export interface BaseRecipe {
  /** Code name of the Debian release. */
  readonly release: string;
  readonly packages: readonly string[];
  /** Shell script that runs on the machine with the new root folder as its first argument. */
  readonly script: string;
}

const packages = [
  ['bash-completion', 'ca-certificates', 'curl', 'git', 'iproute2', 'less', 'nano', 'openssh-client'],
  ['procps', 'sudo', 'unzip', 'xz-utils'],
].flat();

/** History is written after each command, so that it survives a stop and is seen by the next terminal. */
const shellStartup = `
shopt -s histappend checkwinsize
HISTSIZE=100000
HISTFILESIZE=200000
HISTCONTROL=ignoredups
PROMPT_COMMAND="history -a\${PROMPT_COMMAND:+; $PROMPT_COMMAND}"
[ -r /usr/share/bash-completion/bash_completion ] && . /usr/share/bash-completion/bash_completion
`;

const script = `set -eu
root=$1
chroot "$root" useradd --uid 1000 --user-group --create-home --shell /bin/bash atelier
echo 'atelier ALL=(ALL) NOPASSWD:ALL' > "$root/etc/sudoers.d/atelier"
chmod 0440 "$root/etc/sudoers.d/atelier"
for file in root/.bashrc home/atelier/.bashrc; do
cat >> "$root/$file" <<'STARTUP'
${shellStartup}STARTUP
done
mkdir -p "$root/workspaces"
chroot "$root" chown atelier:atelier /workspaces
: > "$root/etc/machine-id"
rm -rf "$root"/usr/share/doc/* "$root"/usr/share/man/* "$root"/var/cache/apt/*.bin "$root"/var/log/*.log
`;

/** The recipe of the base image for one Debian release. */
export function baseRecipe(release: string): BaseRecipe {
  return { release, packages, script };
}

/** Configuration of the base image: root, with the user whom the Dev Container tools take for the terminal. */
export const baseConfiguration = {
  Env: ['PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin', 'LANG=C.UTF-8'],
  Cmd: ['/bin/bash'],
  WorkingDir: '/',
  Labels: { 'devcontainer.metadata': '[{"remoteUser":"atelier"}]' },
} as const;

/** Names the content: another key means that the image has to be made anew. */
export function baseKey(recipe: BaseRecipe): string {
  const text = JSON.stringify([recipe, baseConfiguration]);
  return createHash('sha256').update(text).digest('hex').slice(0, 16);
}

/** The release of a Debian machine, and Debian 12 for every other. Takes the text of `/etc/os-release`. */
export function debianRelease(osRelease: string): string {
  const value = (name: string): string | undefined =>
    new RegExp(`^${name}="?([a-z0-9-]+)"?$`, 'm').exec(osRelease)?.[1];
  return (value('ID') === 'debian' ? value('VERSION_CODENAME') : undefined) ?? 'bookworm';
}
