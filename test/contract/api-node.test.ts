import { createNodeServer } from '../../src/net/api/server-node.ts';
import { apiContract } from './api.ts';
import { apiClientContract } from './api-clients.ts';
import { apiEventContract } from './api-events.ts';
import { apiServerContract } from './api-server.ts';
import { apiSocketContract } from './api-sockets.ts';
import { apiStreamContract } from './api-streams.ts';

const NAME = 'node:http + ws';

apiContract(NAME, createNodeServer);
apiServerContract(NAME, createNodeServer);
apiClientContract(NAME, createNodeServer);
apiSocketContract(NAME, createNodeServer);
apiStreamContract(NAME, createNodeServer);
apiEventContract(NAME, createNodeServer);
