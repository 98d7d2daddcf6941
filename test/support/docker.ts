import type { TestContext } from 'node:test';
import Docker from 'dockerode';
import { DockerEngine, type DockerEngineOptions } from '../../src/engines/docker/engine.ts';
import { reapContainers } from '../../src/engines/docker/health.ts';
import { EXECUTION_LABEL, NODE_LABEL } from '../../src/engines/docker/labels.ts';
import type { RunRequest } from '../../src/engines/engine.ts';

/** A Docker Engine that tests may use. */
export interface TestDocker {
  readonly dockerHost: string;
  /** An image with busybox, present. */
  readonly image: string;
  /** "127.0.0.1:5000" of a registry that holds the image; undefined where there is none. */
  readonly registry: string | undefined;
  readonly docker: Docker;
}

export const NO_DOCKER =
  'no Docker Engine for tests: BACALHAU_TEST_DOCKER_HOST and BACALHAU_TEST_DOCKER_IMAGE are not set';

/** The Docker Engine named by the environment; undefined, said loudly, where there is none. */
export function testDocker(t?: TestContext): TestDocker | undefined {
  const dockerHost = process.env['BACALHAU_TEST_DOCKER_HOST'] ?? '';
  const image = process.env['BACALHAU_TEST_DOCKER_IMAGE'] ?? '';
  if (dockerHost === '' || image === '') {
    console.log(`SKIPPED: ${NO_DOCKER}`);
    t?.skip(NO_DOCKER);
    return undefined;
  }
  return {
    dockerHost,
    image,
    registry: process.env['BACALHAU_TEST_REGISTRY'],
    docker: new Docker({ socketPath: dockerHost.replace(/^unix:\/\//, '') }),
  };
}

/** The node that this process's engines belong to. */
export const TEST_NODE = `test-${process.pid}`;

/** Removes what this process's engines left: their network. Returns the number of containers there were. */
export async function reapTestNode(): Promise<number> {
  const dockerHost = process.env['BACALHAU_TEST_DOCKER_HOST'] ?? '';
  return dockerHost === '' ? 0 : await reapContainers({ dockerHost }, TEST_NODE);
}

/** An engine on it, with its log on the test's diagnostics. */
export function dockerEngine(
  t: TestContext,
  { dockerHost }: TestDocker,
  more: Partial<DockerEngineOptions> = {},
): DockerEngine {
  const options: DockerEngineOptions = {
    nodeId: TEST_NODE,
    dockerHost,
    acceptNetworked: false,
    allowHostNetwork: false,
    createsAtOnce: 4,
    dockerUsername: '',
    dockerPassword: '',
    ...more,
  };
  return new DockerEngine(options, { log: (level, text) => t.diagnostic(`${level}: ${text}`) });
}

/** Ids of an execution's containers, whatever their state. */
export async function containersOf({ docker }: TestDocker, request: RunRequest): Promise<string[]> {
  const label = `${EXECUTION_LABEL}=${request.header.executionId}`;
  const found = await docker.listContainers({ all: true, filters: { label: [label] } });
  return found.map((container) => container.Id);
}

/** Ids of a node's containers, whatever their state. */
export async function containersOfNode({ docker }: TestDocker, nodeId: string): Promise<string[]> {
  const label = `${NODE_LABEL}=${nodeId}`;
  const found = await docker.listContainers({ all: true, filters: { label: [label] } });
  return found.map((container) => container.Id);
}
