import { createNodeServer } from '../../src/net/api/server-node.ts';
import { apiSuite } from './api-suite.ts';

apiSuite({ name: 'node:http + ws', create: createNodeServer, strictParser: true });
