import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { limits } from '../../src/core/limits.ts';
import { hostLimitsFor } from '../../src/net/p2p/host-limits.ts';
import { wireLimits } from '../../src/net/p2p/wire/limits.ts';

const GIB = 1_073_741_824;
const MIB = 1_048_576;
const KIB = 1024;
/** What a fetch may have under way (src/net/p2p/wire/flow-window.ts). */
const UNDER_WAY = 524_288;

const number = (value: number): string => value.toLocaleString('en-US');

/** The keys of a table of bounds, with the comment before each in the source. */
function boundTable(file: string, values: Readonly<Record<string, number>>): string {
  const source = readFileSync(join(import.meta.dirname, '../..', file), 'utf8');
  const rows = Object.entries(values).map(([key, value]) => {
    const found = new RegExp(String.raw`/\*\*((?:(?!\*/)[^])*)\*/\s*${key}:`).exec(source);
    if (found === null) throw new Error(`${file}: ${key} has no comment that says why`);
    const why = (found[1] ?? '').replaceAll(/\s*\n\s*\*\s?/g, ' ').trim();
    return `| \`${key}\` | ${number(value)} | ${why} |`;
  });
  return `| limit | value | what, and why |\n| --- | --- | --- |\n${rows.join('\n')}`;
}

/** docs/LIMITS.md as the tables of bounds say. */
export function limitsPage(): string {
  const large = hostLimitsFor(8 * GIB);
  const small = hostLimitsFor(GIB);
  const perConnection = wireLimits.frameBytes + large.streamWindowBytes + 131_072;
  const mib = (bytes: number): string => number(Math.round(bytes / MIB));
  const kib = (bytes: number): string => `${number(bytes / KIB)} KiB`;
  return `# Limits

Every queue, body, stream and buffer has a bound. What is full says so, waits unread, or ends with a reason; nothing grows. The
numbers live in three files, each with its reason beside it. This page is made from them; \`UPDATE_DOCS=1 node --test test/unit/docs/tables.test.ts\` writes it.

- \`src/core/limits.ts\`: the node's stages and the REST API; most can be set by \`Limits.*\` keys ([CONFIG.md](CONFIG.md)).
- \`src/net/p2p/host-limits.ts\`: connections and streams of libp2p, from the memory of the machine.
- \`src/net/p2p/wire/limits.ts\`: what peers may send ([WIRE.md](WIRE.md)).

## The node

${boundTable('src/core/limits.ts', limits)}

## The libp2p host

Peers may pin an eighth of the machine's memory (of the container's, where it has a limit), at least 128 MiB and at most 1 GiB; as
many connections are allowed as fit.

| limit | value | when full |
| --- | --- | --- |
| connections | memory / ${kib(perConnection)}: ${small.maxConnections} on 1 GiB and less, ${large.maxConnections} on 8 GiB and more | from nine tenths on, those that came in, have no link and are older than 10 s are closed; then new ones are refused |
| new connections of one address | ${large.inboundPerSecond} a second | refused |
| connections that are not encrypted yet | ${large.pendingInbound} | refused |
| streams of one connection | ${large.streams} each way | reset |
| new streams of one connection | ${large.streamsPerSecond} a second, ${number(large.streamBurst)} at once | the connection is closed |
| unread bytes of a stream (yamux window) | ${kib(large.streamWindowBytes)} | the peer waits |
| unsent bytes of a stream | ${mib(large.streamWriteBytes)} MiB; this node's protocols stop at one frame | the stream is reset |

js-libp2p's own defaults would allow 1,000 streams × 16 MiB for each of 300 connections, and unsent bytes without a bound.

## The wire

${boundTable('src/net/p2p/wire/limits.ts', wireLimits)}

## Memory at worst

What all peers together can make the node hold, if every one does its worst:

\`\`\`
connections × (incomplete frame + unread window + objects)   ${large.maxConnections} × ${kib(perConnection)} = ${mib(large.maxConnections * perConnection)} MiB
+ messages being handled                                     ${mib(wireLimits.handlingTotalBytes)} MiB
    and the share that each peer has beyond that             ${large.maxConnections} × ${kib(wireLimits.handlingShareBytes)} = ${mib(large.maxConnections * wireLimits.handlingShareBytes)} MiB
+ messages that wait to be sent                              ${mib(wireLimits.outboxTotalBytes)} MiB
+ bodies                                                     ${mib(wireLimits.bodyTotalBytes)} MiB
+ fetches × (a piece + what is under way)                    ${wireLimits.fetches} × ${kib(wireLimits.fetchChunk + UNDER_WAY)} = ${mib(wireLimits.fetches * (wireLimits.fetchChunk + UNDER_WAY))} MiB
\`\`\`

The first line is the budget above. The incomplete frame grows with the bytes that come, not with the length that is claimed, and a
window is held only by a link whose messages are being handled more slowly than they come. A peer that behaves holds neither: an
idle link costs its objects.
`;
}
