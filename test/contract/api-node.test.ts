import { createNodeServer } from '../../src/net/api/server-node.ts';
import { apiContract } from './api.ts';
import { apiServerContract } from './api-server.ts';
import { apiSocketContract } from './api-sockets.ts';

apiContract('node:http + ws', createNodeServer);
apiServerContract('node:http + ws', createNodeServer);
apiSocketContract('node:http + ws', createNodeServer);
