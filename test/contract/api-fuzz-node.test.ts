import { createNodeServer } from '../../src/net/api/server-node.ts';
import { apiFuzz } from './api-fuzz.ts';

apiFuzz({ name: 'node:http + ws', create: createNodeServer, strictParser: true });
