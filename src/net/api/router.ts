import { NodeError } from '../../core/errors.ts';
import type { Metrics, RouteMetrics } from '../../telemetry/metrics.ts';
import type { Route } from './adapter.ts';

/** A route with its counters. */
export interface RouteEntry {
  readonly route: Route;
  readonly metrics: RouteMetrics;
}

/** Where a request goes. */
export interface Match {
  readonly entry: RouteEntry;
  readonly params: Readonly<Record<string, string>>;
}

const NO_PARAMS: Readonly<Record<string, string>> = Object.freeze({});

class Segment {
  readonly children: Map<string, Segment> = new Map();
  parameter: { readonly name: string; readonly segment: Segment } | undefined;
  readonly methods: Map<string, Match> = new Map();
}

/** Finds routes: whole paths by one look-up, paths with parameters segment by segment. */
export class Router {
  readonly #whole: Map<string, Map<string, Match>> = new Map();
  readonly #root: Segment = new Segment();

  constructor(routes: readonly Route[], metrics: Metrics) {
    for (const route of routes) {
      this.#add({ route, metrics: metrics.createRouteMetrics(route.method, route.path) });
    }
  }

  #add(entry: RouteEntry): void {
    const { method, path } = entry.route;
    let segment = this.#root;
    for (const text of path.split('/').slice(1)) {
      if (text.startsWith(':')) {
        segment.parameter ??= { name: text.slice(1), segment: new Segment() };
        segment = segment.parameter.segment;
      } else {
        const next = segment.children.get(text) ?? new Segment();
        segment.children.set(text, next);
        segment = next;
      }
    }
    segment.methods.set(method, { entry, params: NO_PARAMS });
    if (!path.includes(':')) this.#whole.set(path, segment.methods);
  }

  /**
   * The route of a request. HEAD goes where GET goes.
   * @throws NodeError RouteNotFound, MethodNotAllowed, MalformedRequest
   */
  find(method: string, path: string): Match {
    const wanted = method === 'HEAD' ? 'GET' : method;
    const whole = this.#whole.get(path)?.get(wanted);
    if (whole !== undefined) return whole;

    let values: Record<string, string> | undefined;
    let segment = this.#root;
    for (const text of path.split('/').slice(1)) {
      const child = segment.children.get(text);
      if (child !== undefined) {
        segment = child;
        continue;
      }
      if (segment.parameter === undefined || text === '') throw notFound();
      values ??= {};
      values[segment.parameter.name] = decode(text);
      segment = segment.parameter.segment;
    }
    if (segment.methods.size === 0) throw notFound();
    const match = segment.methods.get(wanted);
    if (match === undefined) {
      throw new NodeError('MethodNotAllowed', 'Method Not Allowed', {
        details: { allow: [...segment.methods.keys()].join(', ') },
      });
    }
    return values === undefined ? match : { entry: match.entry, params: values };
  }
}

function decode(text: string): string {
  if (!text.includes('%')) return text;
  try {
    return decodeURIComponent(text);
  } catch {
    throw new NodeError('MalformedRequest', `the path has a malformed percent-encoding: "${text}"`);
  }
}

function notFound(): NodeError {
  return new NodeError('RouteNotFound', 'The requested resource/URL was not found.', {
    details: {
      cli_usage:
        'If you are using the CLI, try updating your server to a newer version or check if the command is supported in your server version.',
    },
  });
}
