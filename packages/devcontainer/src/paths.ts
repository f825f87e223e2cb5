/** Arithmetic on paths with `/`, as the pure packages have no `node:path`. */

/** Joins and resolves `.` and `..`; an absolute part starts anew. The empty path is `.`; `..` may lead. */
export function joinPath(...parts: string[]): string {
  const joined = parts.reduce((path, part) => (part.startsWith('/') ? part : `${path}/${part}`), '.');
  const absolute = joined.startsWith('/');
  const segments: string[] = [];
  for (const segment of joined.split('/')) {
    if (segment === '' || segment === '.') continue;
    const last = segments.at(-1);
    if (segment !== '..') segments.push(segment);
    else if (last !== undefined && last !== '..') segments.pop();
    else if (!absolute) segments.push('..');
  }
  const path = segments.join('/');
  if (absolute) return `/${path}`;
  return path === '' ? '.' : path;
}

/** The folder of a path; `.` for a name alone. */
export function folderOf(path: string): string {
  return joinPath(path, '..');
}

/** The last segment of a path, trailing slashes aside. */
export function basenameOf(path: string): string {
  return joinPath(path).split('/').at(-1) ?? '';
}

/** `path` as seen from `folder` when it is that folder (`.`) or in it; undefined otherwise. Both absolute. */
export function relativeInside(folder: string, path: string): string | undefined {
  const base = joinPath(folder);
  const inner = joinPath(path);
  if (inner === base) return '.';
  const prefix = base === '/' ? '/' : `${base}/`;
  return inner.startsWith(prefix) ? inner.slice(prefix.length) : undefined;
}
