import { Faults } from '../checks/faults.ts';
import { isObject, type Source } from '../checks/keys.ts';
import { translate } from './translate/translate.ts';

/** The job a request body holds, in the newest form. */
export interface SubmittedJob {
  readonly job: Source;
  readonly force: boolean;
  readonly warnings: readonly string[];
}

/**
 * Finds the job in a body: `{"Job": ..., "Force": ...}`, a bare job, a signed envelope with a payload, and in
 * any of them the older forms, which are translated. Nothing at all is a fault.
 */
export function findJob(body: Source, faults: Faults): SubmittedJob | undefined {
  let force = false;
  let namespace: unknown;
  let found: unknown;
  let wrapped = false;
  for (const key in body) {
    switch (key.toLowerCase()) {
      case 'job':
        found = body[key];
        wrapped = true;
        break;
      case 'force':
        if (typeof body[key] === 'boolean') force = body[key];
        else if (body[key] !== null) faults.mistyped('Force', 'true or false', body[key]);
        break;
      case 'namespace':
        namespace = body[key];
        break;
      case 'payload':
        if (!isObject(body[key])) break;
        found = body[key];
        wrapped = true;
        break;
      default:
    }
  }
  if (!wrapped) found = body;
  if (found === null || found === undefined || (isObject(found) && isEmpty(found))) {
    faults.add('Job', 'empty/nil job (expected {"Job": {"Type": ..., "Tasks": [...]}})');
    return undefined;
  }
  if (!isObject(found)) {
    faults.mistyped('Job', 'an object', found);
    return undefined;
  }
  const { job, warnings } = translate(found, faults);
  return { job: wrapped ? inNamespace(job, namespace) : job, force, warnings };
}

function isEmpty(source: Source): boolean {
  for (const _ in source) return false;
  return true;
}

/** The request's namespace holds for a job that names none. */
function inNamespace(job: Source, namespace: unknown): Source {
  if (typeof namespace !== 'string' || namespace === '') return job;
  for (const key in job) {
    if (key.toLowerCase() === 'namespace' && job[key] !== '' && job[key] !== null) return job;
  }
  return { ...job, Namespace: namespace };
}
