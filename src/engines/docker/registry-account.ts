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
