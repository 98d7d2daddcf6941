/** Stands for a secret that is set. */
export const HIDDEN = '********';

const URLS = /[a-z][a-z0-9+.-]*:\/\/[^\s"'`<>]+/gi;
/** User and password: all of the authority before its last "@". */
const USER_INFO = /^([^/]+:\/\/)[^/?#]*@/;
/** Values of a query: keys that open a door are handed out there, under any name. */
const QUERY_VALUES = /([?&][^=&#]*=)[^&#]+/g;
const NAME = String.raw`[\w.-]*(?:token|secret|passw(?:or)?d|passphrase|credential|api[_-]?key|authorization)[\w.-]*`;
const VALUE = String.raw`(?:"[^"]*"|'[^']*'|[^\s"';&|)]+)`;
/** `API_KEY=x`, `"password": "x"`, `--token x`: the name stays. */
const ASSIGNED = new RegExp(String.raw`(${NAME}["']?\s*[=:]\s*)${VALUE}`, 'gi');
const FLAGGED = new RegExp(String.raw`(--?${NAME}\s+)(?!-)${VALUE}`, 'gi');
const SCHEMES = /\b(bearer|basic)(\s+|:)[^\s"';&|)]+/gi;

/**
 * Text for people, without the secrets that it is likely to hold: user, password and query values of URLs, what
 * follows a name such as "token" or "password", and credentials of an Authorization header.
 */
export function withoutSecrets(text: string): string {
  return text
    .replaceAll(URLS, (url) => url.replace(USER_INFO, `$1${HIDDEN}@`).replaceAll(QUERY_VALUES, `$1${HIDDEN}`))
    .replaceAll(SCHEMES, `$1$2${HIDDEN}`)
    .replaceAll(ASSIGNED, `$1${HIDDEN}`)
    .replaceAll(FLAGGED, `$1${HIDDEN}`);
}
