import { NodeError } from '../../core/errors.ts';
import type { HttpRequest } from './adapter.ts';

const LOOPBACK = /^(?:::ffff:)?127\.\d+\.\d+\.\d+$|^::1$/;
/** What browsers and proxies add: then the caller is not the one who connected. */
const ON_BEHALF: readonly string[] = ['origin', 'forwarded', 'x-forwarded-for', 'x-real-ip'];

/**
 * Lets only programs of this machine pass: what changes how the node behaves has no authentication of its own.
 * @throws NodeError LocalOnly
 */
export function requireLocal(request: HttpRequest): void {
  const other = ON_BEHALF.find((name) => request.header(name) !== '');
  if (LOOPBACK.test(request.remoteAddress) && other === undefined) return;
  const why = other === undefined ? `from ${request.remoteAddress}` : `with the header ${other}`;
  throw new NodeError(
    'LocalOnly',
    `${request.method} ${request.path} is for programs of the node's own machine; this request came ${why}`,
  );
}
