/** What a metric is called, what it counts and by which labels. `docs/METRICS.md` lists the same; a test holds them together. */
export interface MetricDefinition {
  readonly type: 'counter' | 'gauge' | 'histogram';
  readonly labels: readonly string[];
  readonly help: string;
}

const definitions = {
  bacalhau_build_info: {
    type: 'gauge',
    labels: ['version'],
    help: 'Always 1; the label says which version runs.',
  },
  bacalhau_stage_items_in_total: {
    type: 'counter',
    labels: ['stage'],
    help: 'Items taken into the queue of a stage.',
  },
  bacalhau_stage_items_out_total: {
    type: 'counter',
    labels: ['stage', 'outcome'],
    help: 'Items that left a stage, by outcome.',
  },
  bacalhau_stage_items_refused_total: {
    type: 'counter',
    labels: ['stage'],
    help: 'Items refused because the queue of the stage was full.',
  },
  bacalhau_stage_thread_items_total: {
    type: 'counter',
    labels: ['stage', 'thread'],
    help: 'Items processed by each worker thread of a stage; thread 0 is the main thread.',
  },
  bacalhau_stage_queue_depth: {
    type: 'gauge',
    labels: ['stage'],
    help: 'Items waiting in the queue of a stage.',
  },
  bacalhau_stage_queue_bound: {
    type: 'gauge',
    labels: ['stage'],
    help: 'Items the queue of a stage can hold.',
  },
  bacalhau_stage_queue_high_water: {
    type: 'gauge',
    labels: ['stage'],
    help: 'Most items that ever waited in the queue of a stage.',
  },
  bacalhau_stage_in_flight: {
    type: 'gauge',
    labels: ['stage'],
    help: 'Items handed to threads and not answered yet.',
  },
  bacalhau_stage_batch_size: {
    type: 'histogram',
    labels: ['stage'],
    help: 'Items in one message to a worker thread.',
  },
  bacalhau_stage_busy_seconds_total: {
    type: 'counter',
    labels: ['stage'],
    help: 'Time that batches of a stage spent at worker threads, summed over threads.',
  },
  bacalhau_capacity: {
    type: 'gauge',
    labels: ['account', 'resource'],
    help: 'Capacity by account (total, promised, used) and resource (cpu in cores, memory and disk in bytes, gpu).',
  },
  bacalhau_executions: {
    type: 'gauge',
    labels: ['state'],
    help: 'Executions this compute node holds, by state.',
  },
  bacalhau_jobs: { type: 'gauge', labels: ['state'], help: 'Jobs this requester holds, by state.' },
  bacalhau_bids_total: {
    type: 'counter',
    labels: ['outcome', 'reason'],
    help: 'Bids decided, by outcome and reason.',
  },
  bacalhau_bid_verdicts_total: {
    type: 'counter',
    labels: ['strategy', 'verdict'],
    help: 'What each strategy of the job selection policy said: yes, no, not now (may change), wait (for an approval).',
  },
  bacalhau_probe_failures_total: {
    type: 'counter',
    labels: ['probe', 'cause'],
    help: 'Probes that gave no answer (timeout, start, unreachable, answer, lost), and bids put off because too many were running (slots).',
  },
  bacalhau_probe_seconds: {
    type: 'histogram',
    labels: ['probe'],
    help: 'How long job selection probes took, whatever came of it.',
  },
  bacalhau_probes_running: { type: 'gauge', labels: ['probe'], help: 'Job selection probes that run now.' },
  bacalhau_outbox_messages: {
    type: 'gauge',
    labels: ['role'],
    help: 'Messages not acknowledged yet, by sending role.',
  },
  bacalhau_wire_links: { type: 'gauge', labels: [], help: 'Peers with which messages flow.' },
  bacalhau_wire_link_downs_total: {
    type: 'counter',
    labels: ['reason'],
    help: 'Links with peers that ended: closed, reset, goodbye (the peer says why), replaced (opened anew), stopping, or the fault of the peer.',
  },
  bacalhau_wire_messages_total: {
    type: 'counter',
    labels: ['direction', 'type'],
    help: 'Messages exchanged with peers.',
  },
  bacalhau_wire_bytes_total: {
    type: 'counter',
    labels: ['direction', 'traffic'],
    help: 'Bytes exchanged with peers: messages, bodies (large parts of messages), fetches (logs and archives).',
  },
  bacalhau_wire_round_trip_seconds: {
    type: 'histogram',
    labels: [],
    help: 'From sending a message to a peer until its answer, which is given when the message is stored there, and may wait 5 ms for company.',
  },
  bacalhau_wire_waiting_messages: {
    type: 'gauge',
    labels: [],
    help: "Messages to peers that wait for the stream or the receiver's window.",
  },
  bacalhau_wire_refused_total: {
    type: 'counter',
    labels: ['reason'],
    help: 'What peers sent and this node refused: oversized, malformed, truncated, forged, sequence, unknown, invalid, rate, throttled, stalled, silent, side, hello, barred, full, flood (of streams), internal (an error of this node).',
  },
  bacalhau_wire_barred_peers: {
    type: 'gauge',
    labels: [],
    help: 'Peers whose connections are refused for a while because of what they sent.',
  },
  bacalhau_wire_body_bytes: {
    type: 'gauge',
    labels: [],
    help: 'Memory taken for large parts of messages that have not been handled yet.',
  },
  bacalhau_wire_fetches: {
    type: 'gauge',
    labels: [],
    help: 'Logs and archives that peers are reading now.',
  },
  bacalhau_messages_refused_total: {
    type: 'counter',
    labels: ['reason'],
    help: "Messages of nodes that changed nothing because of who sent them: about another's execution (foreign), in another's name (spoofed), from a requester that is not accepted (untrusted), for a role that is not here (no_role).",
  },
  bacalhau_http_requests_total: {
    type: 'counter',
    labels: ['method', 'route', 'status'],
    help: 'HTTP requests answered, by route and status.',
  },
  bacalhau_http_request_seconds: {
    type: 'histogram',
    labels: ['method', 'route'],
    help: 'Time from the head of a request to the end of its answer, of routes that were asked.',
  },
  bacalhau_http_connections: { type: 'gauge', labels: [], help: 'Open connections of the REST server.' },
  bacalhau_event_subscribers: {
    type: 'gauge',
    labels: [],
    help: 'Event subscribers, over WebSockets and Server-Sent Events together.',
  },
  bacalhau_event_deliveries_total: {
    type: 'counter',
    labels: ['encoding'],
    help: 'Events handed to subscribers, each once a subscriber.',
  },
  bacalhau_event_gaps_total: {
    type: 'counter',
    labels: [],
    help: 'Gaps told to event subscribers: events that are no longer stored.',
  },
  bacalhau_event_ends_total: {
    type: 'counter',
    labels: ['how'],
    help: 'Event subscriptions ended: by their client, complete, or because the client had stalled.',
  },
  bacalhau_event_lag: {
    type: 'gauge',
    labels: [],
    help: 'Sequence numbers that the slowest event subscriber is behind.',
  },
  bacalhau_event_seq: {
    type: 'gauge',
    labels: [],
    help: 'Sequence number of the last event that may be delivered.',
  },
  bacalhau_websockets: {
    type: 'gauge',
    labels: ['kind'],
    help: 'Open WebSockets of log readers (`logs`) and event subscribers (`events`).',
  },
} as const;

/** Name of a metric of the node's own. */
export type MetricName = keyof typeof definitions;

/** Every metric of the node's own, by name. */
export const metricDefinitions: Readonly<Record<MetricName, MetricDefinition>> = definitions;
