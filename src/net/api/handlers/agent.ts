import type { NodePort } from '../../../core/ports.ts';
import type { Route } from '../adapter.ts';
import { json, jsonText, redirect } from '../reply.ts';
import { type BuildInfo, nodeInfoToWire, versionToWire } from '../wire/node.ts';

/** Routes that every node has, whatever its roles. */
export function agentRoutes(node: NodePort, build: BuildInfo): Route[] {
  const version = JSON.stringify(versionToWire(build));
  return [
    { method: 'GET', path: '/', handle: () => redirect('/api/v1/agent/version') },
    { method: 'GET', path: '/version', handle: () => redirect('/api/v1/agent/version') },
    { method: 'GET', path: '/livez', handle: () => redirect('/api/v1/agent/alive') },
    { method: 'GET', path: '/api/v1/agent/alive', handle: () => jsonText('{"Status":"OK"}') },
    { method: 'GET', path: '/api/v1/agent/version', handle: () => jsonText(version) },
    { method: 'GET', path: '/api/v1/agent/node', handle: () => json(nodeInfoToWire(node.info(), build)) },
    { method: 'GET', path: '/api/v1/agent/config', handle: () => json({ config: node.config() }) },
    { method: 'GET', path: '/api/v1/agent/debug', handle: () => json(node.debug()) },
    {
      method: 'GET',
      path: '/api/v1/agent/authconfig',
      handle: () => json({ Version: '1.0.0', Config: {} }),
    },
  ];
}
