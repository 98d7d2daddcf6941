import { it } from 'node:test';
import { withVariable } from '../../src/config/environment.ts';
import { HEADER_BYTES } from '../../src/net/api/api.ts';
import { uwsServers } from '../../src/net/api/server-uws.ts';
import { loadUws } from '../../src/net/api/uws.ts';
import { apiSuite } from './api-suite.ts';

const uws = loadUws(HEADER_BYTES, withVariable);
if ('why' in uws) {
  it('the contract of the API over uWebSockets.js', (t) => {
    console.warn(`SKIPPED: the contract over uWebSockets.js: ${uws.why}`);
    t.skip(uws.why);
  });
} else {
  apiSuite({ name: 'uWebSockets.js', create: uwsServers(uws), strictParser: false });
}
