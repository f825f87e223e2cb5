/**
 * Images: found, pulled, built, pinned, collected. Read `driver.ts` first.
 *
 * An image is known by its digest, `sha256:` and 64 hexadecimal digits; a reference is only a way to find
 * one. An environment keeps its digest until it is rebuilt, whatever happens to the reference.
 */

/** What an image says about the processes in it (the OCI image configuration, the part that we use). */
export interface ImageConfiguration {
  /** User of the image, as written there: name or number, optionally with a group; empty means root. */
  readonly user: string;
  /** Variables as NAME=value. */
  readonly environment: readonly string[];
  /** Absolute path, empty when the image names none. */
  readonly workingDirectory: string;
  readonly labels: Readonly<Record<string, string>>;
}

/** One image that is here. */
export interface Image {
  readonly digest: string;
  readonly configuration: ImageConfiguration;
  /** Size of its layers on disk. */
  readonly sizeBytes: number;
}

/** A build from one Dockerfile. The context lies in an environment's workspace. */
export interface ImageBuild {
  readonly environmentId: string;
  /** The disk's workspace is the root of these two; neither may leave it, by `..` or by a link. */
  readonly contextPath: string;
  readonly dockerfilePath: string;
  /** Stage to stop at; undefined means the last one. */
  readonly target?: string | undefined;
  readonly buildArguments: Readonly<Record<string, string>>;
}

/** What an environment asks for. */
export type ImageRequest =
  /** `localhost/...` is only looked up here; anything else is pulled when it is missing. */
  | { readonly kind: 'reference'; readonly reference: string }
  /** The image for repositories that name none, `localhost/atelier/base`; made when it is missing. */
  | { readonly kind: 'base' }
  | { readonly kind: 'build'; readonly build: ImageBuild };

/** A line about what goes on, for a person; `fraction` is in [0, 1] where it is known. */
export type Progress = (message: string, fraction?: number) => void;

/** Images of one driver. */
export interface ImageDriver {
  /**
   * Makes the image be here and returns it. Progress is reported at least every two seconds while it takes
   * longer. Two calls for the same request share one piece of work. Lost answer: call again, what is here is
   * found in milliseconds. A build whose inputs (Dockerfile, context, arguments, base digest) are unchanged
   * is answered from its cache.
   * Errors: `not_found` (no such image; names the reference and the registry), `permission_denied` (the
   * registry wants credentials), `failed_precondition` (the build failed; the message ends with the last
   * lines of its output), `invalid_argument`, `unavailable` (registry out of reach), `resource_exhausted`
   * (disk full), `canceled`.
   */
  ensure(request: ImageRequest, progress: Progress, signal: AbortSignal): Promise<Image>;
  /** The image with this digest, undefined when it is not here. Cost: about a millisecond. */
  inspect(digest: string): Promise<Image | undefined>;
  /** Keeps the image while `owner` (an environment id or a lease name) needs it. One image per owner: replaces. */
  pin(digest: string, owner: string): Promise<void>;
  /** Ends the owner's pin. */
  unpin(owner: string): Promise<void>;
  /** All pins: owner and digest. */
  listPins(): Promise<ReadonlyMap<string, string>>;
}
