import type { Source } from '../../checks/keys.ts';
import { type Folded, given } from './folded.ts';

/** An input, output or module of the older forms. */
export interface OldStorage {
  readonly name: string;
  /** An InputSource in the newest form; the target of an output is where it is mounted too. */
  readonly input: { readonly Source: Source; readonly Alias: string; readonly Target: string };
}

/** The newest names of storages, by the older ones in lower case. Others keep their names. */
const TYPES: ReadonlyMap<string, string> = new Map([
  ['ipfs', 'ipfs'],
  ['urldownload', 'urlDownload'],
  ['url', 'urlDownload'],
  ['inline', 'inline'],
  ['localdirectory', 'localDirectory'],
  ['s3', 's3'],
]);

/** `{StorageSource: "IPFS", Name, CID, path}`, and the first releases' `{engine: "ipfs", cid, path}`. */
export function translateStorage(old: Folded): OldStorage {
  const name = old.text('name');
  const said = old.text('storagesource', 'engine');
  const type = TYPES.get(said.toLowerCase()) ?? said;
  return {
    name,
    input: { Source: { Type: type, Params: params(type, old) }, Alias: name, Target: old.text('path') },
  };
}

function params(type: string, old: Folded): Source {
  switch (type) {
    case 'ipfs':
      return given({ CID: old.get('cid') });
    case 'urlDownload':
    case 'inline':
      return given({ URL: old.get('url') });
    case 'localDirectory':
      return given({ SourcePath: old.get('sourcepath'), ReadWrite: old.get('readwrite') });
    case 's3': {
      const s3 = old.object('s3');
      return given({
        Bucket: s3.get('bucket'),
        Key: s3.get('key'),
        Filter: s3.get('filter'),
        Region: s3.get('region'),
        Endpoint: s3.get('endpoint'),
        VersionID: s3.get('versionid'),
        ChecksumSHA256: s3.get('checksumsha256'),
      });
    }
    default:
      return given({ Repo: old.get('repo'), URL: old.get('url'), CID: old.get('cid') });
  }
}
