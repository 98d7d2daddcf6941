import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { readdir, readFile, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import { join } from 'node:path';
import { after, before, describe, it, type TestContext } from 'node:test';
import { NO_DOCKER, type TestDocker, testDocker } from '../support/docker.ts';
import { temporaryFolder } from '../support/folders.ts';
import { dockerJob, helloModule, wasmJob } from '../support/jobs.ts';
import { addToKubo, testKubo } from '../support/kubo.ts';
import { startTestNode, type TestNode, type Wire } from '../support/node.ts';
import { pushFreshImage } from '../support/registry-proxy.ts';
import { jobGet, publishedCid, publishedResult, said, submittedId } from '../support/results.ts';
import { builtProgram } from '../support/wasm-run.ts';
import { goProgram } from '../support/wasm-go.ts';

const scope = { after };
const kuboConnect = process.env['BACALHAU_TEST_KUBO'] ?? '';
