import { createNodeServer } from '../../src/net/api/server-node.ts';
import { apiContract } from './api.ts';

apiContract('node:http + ws', createNodeServer);
