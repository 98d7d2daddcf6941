import { startChromium } from './chromium.ts';
import { startClang } from './clang.ts';
import { startDocker } from './docker.ts';
import { startKubo } from './kubo.ts';
import { startRegistry } from './registry.ts';
import { isRootDebian, missingPackages, type ServiceStart, which } from './service.ts';

/** All that may be installed, as root on Debian. */
const PACKAGES: readonly string[] = [
  'docker.io',
  'docker-registry',
  'busybox-static',
  'clang',
  'lld',
  'iproute2',
  'wasi-libc',
  'libclang-rt-14-dev-wasm32',
  'chromium',
];

/** What became of one service. */
export interface ServiceReport {
  readonly name: string;
  readonly state: 'running' | 'skipped' | 'failed';
  /** Why it is not running; else what the tests get of it. */
  readonly reason: string;
  readonly env: Readonly<Record<string, string>>;
  stop(): Promise<void>;
}

/** What is about to be installed and started, in words. */
export async function planServices(): Promise<string[]> {
  const plan: string[] = [];
  if (await isRootDebian()) {
    const missing = await missingPackages(PACKAGES);
    plan.push(
      missing.length === 0
        ? `installed already: ${PACKAGES.join(' ')}`
        : `about to install by apt-get: ${missing.join(' ')}`,
    );
  }
  plan.push(
    'about to start: a container registry on the loopback, a Docker Engine with its own data root and socket',
  );
  plan.push(
    (await which('go')) === undefined
      ? 'Go is not here, so Kubo is used only where an "ipfs" command is, or a build in the cache'
      : 'about to build Kubo with Go (minutes; then cached) and to start it with a repository of its own',
  );
  return plan;
}

async function attempt(name: string, start: () => Promise<ServiceStart>): Promise<ServiceReport> {
  const stop = async (): Promise<void> => undefined;
  let report: ServiceReport;
  try {
    const started = await start();
    report =
      'skip' in started
        ? { name, state: 'skipped', reason: started.skip, env: {}, stop }
        : {
            name,
            state: 'running',
            reason: Object.entries(started.env)
              .map(([key, value]) => `${key}=${value}`)
              .join(' '),
            env: started.env,
            stop: () => started.stop(),
          };
  } catch (error) {
    report = {
      name,
      state: 'failed',
      reason: error instanceof Error ? error.message : String(error),
      env: {},
      stop,
    };
  }
  console.log(
    `services: ${name} ${report.state === 'running' ? 'is ready' : report.state.toUpperCase()}: ${report.reason}`,
  );
  return report;
}

/** Starts all services, side by side where they can be; adds each to `reports` as soon as it stands. */
export async function startServices(reports: ServiceReport[]): Promise<void> {
  const add = async (name: string, start: () => Promise<ServiceStart>): Promise<ServiceReport> => {
    const report = await attempt(name, start);
    reports.push(report);
    return report;
  };
  // apt-get runs once at a time, so what installs packages goes one after another; Kubo is built meanwhile.
  const packaged = async (): Promise<void> => {
    await add('clang', startClang);
    await add('chromium', startChromium);
    const registry = await add('registry', startRegistry);
    // The engine puts its test image into the registry.
    await add('docker', () => startDocker(registry.env['BACALHAU_TEST_REGISTRY']));
  };
  await Promise.all([packaged(), add('kubo', startKubo)]);
}

/** Stops what runs, the last started first. */
export async function stopServices(reports: readonly ServiceReport[]): Promise<void> {
  for (const report of reports.toReversed()) {
    if (report.state !== 'running') continue;
    try {
      await report.stop();
    } catch (error) {
      console.log(`services: ${report.name} was not stopped cleanly: ${String(error)}`);
    }
  }
}
