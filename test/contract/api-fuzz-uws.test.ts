import { withVariable } from '../../src/config/environment.ts';
import { HEADER_BYTES } from '../../src/net/api/api.ts';
import { uwsServers } from '../../src/net/api/server-uws.ts';
import { loadUws } from '../../src/net/api/uws.ts';
import { inNewerDebian } from '../support/newer-debian.ts';
import { apiFuzz } from './api-fuzz.ts';

const uws = loadUws(HEADER_BYTES, withVariable);
if ('why' in uws) inNewerDebian(import.meta.url, uws.why);
else apiFuzz({ name: 'uWebSockets.js', create: uwsServers(uws), strictParser: false });
