import { aptInstall, run, type ServiceStart, servicesForbidden, which } from './service.ts';

/**
 * A browser: BACALHAU_TEST_CHROMIUM is its path. Uses the one on the PATH, else installs Debian's. Nothing is started,
 * so nothing has to be stopped.
 */
export async function startChromium(): Promise<ServiceStart> {
  const found = await findChromium();
  if (found !== undefined) return running(found);
  if (servicesForbidden()) return { skip: 'TEST_SERVICES=none, and no Chromium here' };
  const failure = await aptInstall(['chromium']);
  const installed = failure === undefined ? await findChromium() : undefined;
  return installed === undefined
    ? { skip: `no Chromium: ${failure ?? 'it does not run here'}` }
    : running(installed);
}

/** The one that was named, or is on the PATH, if it runs. */
export async function findChromium(): Promise<string | undefined> {
  const given = process.env['BACALHAU_TEST_CHROMIUM'];
  const found = given !== undefined && given !== '' ? given : await which('chromium');
  if (found === undefined) return undefined;
  return (await run(found, ['--version'])).code === 0 ? found : undefined;
}

function running(path: string): ServiceStart {
  return { env: { BACALHAU_TEST_CHROMIUM: path }, stop: () => Promise.resolve() };
}
