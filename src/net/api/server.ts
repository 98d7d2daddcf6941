import { NodeError } from '../../core/errors.ts';
import { HEADER_BYTES, type ServerFactory } from './api.ts';
import type { ServerKind } from './options.ts';
import { createNodeServer } from './server-node.ts';
import { uwsServers } from './server-uws.ts';
import { loadUws, type WithVariable } from './uws.ts';

/** The server that a node's API runs on. */
export interface ChosenServer {
  readonly create: ServerFactory;
  /** Why it is not uWebSockets.js, where that was wanted if it loads; "" otherwise. */
  readonly fallback: string;
}

/** The server that was asked for; `auto` is uWebSockets.js where its binary loads. @throws NodeError ConfigInvalid */
export function chooseServer(kind: ServerKind, withVariable: WithVariable): ChosenServer {
  if (kind === 'node') return { create: createNodeServer, fallback: '' };
  const uws = loadUws(HEADER_BYTES, withVariable);
  if (!('why' in uws)) return { create: uwsServers(uws), fallback: '' };
  if (kind === 'uws') {
    throw new NodeError(
      'ConfigInvalid',
      `API.Server is uws, but uWebSockets.js can not be used: ${uws.why} (--api-server auto takes node:http there)`,
    );
  }
  return { create: createNodeServer, fallback: uws.why };
}
