import { NodeError } from '../../core/errors.ts';

/** An image name taken apart. */
export interface ImageReference {
  /** As Docker is asked for it: name with tag or digest. */
  readonly full: string;
  /** Name without tag and digest. */
  readonly repository: string;
  /** Tag or digest; never empty, because a pull without one fetches every tag. */
  readonly version: string;
  /** True when the image comes from Docker Hub. */
  readonly onDockerHub: boolean;
}

// Grammar: distribution/reference of the OCI distribution project.
const DOMAIN = /^(?:[a-zA-Z0-9](?:[a-zA-Z0-9.-]*[a-zA-Z0-9])?|\[[0-9a-fA-F:]+\])(?::\d+)?$/;
const PATH = /^[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*(?:\/[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*)*$/;
const TAG = /^\w[\w.-]{0,127}$/;
const DIGEST = /^[A-Za-z][A-Za-z0-9]*(?:[-_+.][A-Za-z][A-Za-z0-9]*)*:[0-9a-fA-F]{32,}$/;
const HUB_DOMAINS = new Set(['docker.io', 'index.docker.io', 'registry-1.docker.io']);
const LONGEST_NAME = 255;

/**
 * Checks and completes an image name, so that no part of it can change the request it is put in.
 * @throws NodeError ValidationFailed
 */
export function parseImageReference(text: string): ImageReference {
  const [named = '', digest, ...rest] = text.split('@');
  const colon = named.lastIndexOf(':');
  const tagged = colon > named.lastIndexOf('/');
  const repository = tagged ? named.slice(0, colon) : named;
  const tag = tagged ? named.slice(colon + 1) : undefined;
  const slash = repository.indexOf('/');
  const first = slash < 0 ? '' : repository.slice(0, slash);
  const hasDomain = /[.:]/.test(first) || first === 'localhost';
  const valid =
    rest.length === 0 &&
    repository.length <= LONGEST_NAME &&
    (!hasDomain || DOMAIN.test(first)) &&
    PATH.test(hasDomain ? repository.slice(slash + 1) : repository) &&
    (tag === undefined || TAG.test(tag)) &&
    (digest === undefined || DIGEST.test(digest));
  if (!valid) {
    throw new NodeError(
      'ValidationFailed',
      `Tasks[0].Engine.Params.Image: ${JSON.stringify(text.slice(0, LONGEST_NAME))} is no image name (expected such as "ubuntu:24.04" or "registry.example.org/team/image@sha256:...")`,
    );
  }
  const version = digest ?? tag ?? 'latest';
  return {
    full: digest === undefined ? `${repository}:${version}` : `${repository}@${digest}`,
    repository,
    version,
    onDockerHub: !hasDomain || HUB_DOMAINS.has(first),
  };
}
