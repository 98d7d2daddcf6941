import { fileURLToPath } from 'node:url';

const file = (name: string): string => fileURLToPath(new URL(name, import.meta.url));

/** A certificate for the loopback that signs itself. */
export const certFile: string = file('cert.pem');
/** Its key. */
export const keyFile: string = file('key.pem');
/** A key of no certificate. */
export const otherKeyFile: string = file('other-key.pem');
