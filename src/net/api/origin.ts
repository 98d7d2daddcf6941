import { isIP } from 'node:net';
import { NodeError } from '../../core/errors.ts';
import type { HttpRequest } from './adapter.ts';

/** Names and addresses that lead to the browser's own machine, whoever asks. */
const LOOPBACK = /^(?:localhost|[a-z0-9.-]+\.localhost|127\.\d+\.\d+\.\d+|\[::1\])$/;

/**
 * Keeps web pages of the internet from reading this node through their visitor's browser, which sends the page's
 * origin. Programs send none. Pages of the visitor's own machine pass, and those of the address that was called
 * when it is an IP address: a name could be made to lead here by whoever owns it. `allowed` adds origins as browsers
 * send them; "*" allows all.
 * @throws NodeError OriginNotAllowed
 */
export function requireOrigin(request: HttpRequest, allowed: readonly string[]): void {
  const origin = request.header('origin');
  if (origin === '' || allowed.includes(origin) || allowed.includes('*')) return;
  const page = URL.canParse(origin) ? new URL(origin) : undefined;
  if (page !== undefined && (page.protocol === 'http:' || page.protocol === 'https:')) {
    if (LOOPBACK.test(page.hostname)) return;
    const isAddress = isIP(page.hostname.replace(/^\[|\]$/g, '')) !== 0;
    if (isAddress && page.host === request.header('host').toLowerCase()) return;
  }
  const shown = JSON.stringify(origin.slice(0, 100));
  throw new NodeError('OriginNotAllowed', `pages of origin ${shown} may not read the events of this node`);
}
