/** What a build and the runtime of its steps tell each other. Pure. */
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

/**
 * File in a bundle that says how to put buildah's overlay back, a line each: root, layers, work folder, overlay
 * folder, mount options, mount point.
 */
export const undoFile = 'atelier-undo';

/** What a RUN step gets. */
export interface BuildPlan {
  /** The id on the host that is root inside. */
  readonly base: number;
  readonly userNamespaceFile: string;
  readonly networkNamespaceFile: string;
  /** Where the root file system is mounted: every folder above it can be entered by everybody. */
  readonly rootFolder: string;
  /** `overlay` in the storage of this home. */
  readonly overlayFolder: string;
  /** Folder of this build; what buildah mounts into a step must lie there or in the storage. */
  readonly temporaryFolder: string;
  /** Where Node keeps what it has compiled, which is most of what it does at its start. */
  readonly compileCacheFolder: string;
  /** Variables as NAME=value, for the step only. */
  readonly environment: readonly string[];
  /** Folders of the host that are seen read-only, put where they leave no trace in the image. */
  readonly folders: ReadonlyArray<{ readonly source: string; readonly destination: string }>;
}

/**
 * What buildah calls as its runtime. Making a step is the work of build-runtime.ts; the rest is done here, because
 * starting Node takes longer than all of it. Buildah calls it in the bundle.
 */
export function runtimeScript(plan: BuildPlan, planFile: string): string {
  const quote = (path: string): string => `'${path.replaceAll("'", `'\\''`)}'`;
  const program = [process.execPath, fileURLToPath(import.meta.resolve('./build-runtime.ts')), planFile]
    .map(quote)
    .join(' ');
  const node = `env NODE_COMPILE_CACHE=${quote(plan.compileCacheFolder)} ${program}`;
  const crun = `crun --root ${quote(join(plan.temporaryFolder, 'crun'))} --cgroup-manager=disabled "$@"`;
  return `#!/bin/sh
case $1 in
context) exec ${node} context ;;
create) ${node} create || exit; exec ${crun} ;;
delete) ;;
*) exec ${crun} ;;
esac
${crun}
status=$?
[ -e ${undoFile} ] || exit $status
{ read -r root; read -r layers; read -r work; read -r overlay; read -r options; read -r merged; } <${undoFile}
rm ${undoFile}
umount "$root" && umount "$layers" && rm -rf "$work/work/incompat" || exit
nsenter --target 1 --mount sh -c 'cd "$1" && exec mount -i -t overlay overlay -o "$2" "$3"' sh \\
  "$overlay" "$options" "$merged" || exit
exit $status
`;
}
