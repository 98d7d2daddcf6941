/** Account of a registry, as the Engine API takes it. */
export interface RegistryAccount {
  readonly username: string;
  readonly password: string;
  readonly serveraddress: string;
}

/** The operator's account at Docker Hub; undefined where there is none. */
export function hubAccount(username: string, password: string): RegistryAccount | undefined {
  return username === '' ? undefined : { username, password, serveraddress: 'https://index.docker.io/v1/' };
}

/** How a request to Docker carries it. */
export function accountHeaders(account: RegistryAccount | undefined): Record<string, string> {
  if (account === undefined) return {};
  // URL-safe and padded: Docker takes what it cannot decode for no account at all.
  const text = Buffer.from(JSON.stringify(account)).toString('base64');
  return { 'x-registry-auth': text.replaceAll('+', '-').replaceAll('/', '_') };
}
