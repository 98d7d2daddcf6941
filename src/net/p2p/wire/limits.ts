/**
 * Every bound of the wire, with its reason; `docs/LIMITS.md` lists them with the memory they may take at worst.
 * A peer learns those that concern it from the hello frame.
 */
export const wireLimits = {
  /** One frame. Twice what the largest inline message takes, so that no honest frame comes near. */
  frameBytes: 524_288,
  /** A frame is sent when it holds this much: it fits one noise message (65,519 bytes) with its headers. */
  frameTargetBytes: 61_440,
  /** Messages of one frame: one side makes the next while the other handles this one. With 512, two nodes took turns. */
  frameMessages: 128,
  /** Answers of one frame, as above. */
  frameAnswers: 2048,
  /** How long an acknowledgement waits for a frame that goes anyway; at a low rate most find one. Nothing waits for it but memory. */
  acknowledgeMs: 5,
  /** What a larger message has of payload and attachment goes over a stream of its own, so that small ones need not wait. */
  inlineBytes: 262_144,
  /** One body: a job of the largest size that the REST API takes, and room for what the requester adds. */
  bodyBytes: 10_551_296,
  /** Bodies that cross at once to one peer. One fills a link; more would only share it. */
  bodiesAtOnce: 4,
  /** Bodies that wait for one of those places, per peer; what does not fit stays in the store. */
  bodiesWaiting: 64,
  /** Bytes of bodies received from one peer and not handled yet, and of those that cross or wait the other way. */
  bodyPeerBytes: 33_554_432,
  /** Bytes of bodies received and not handled yet, of all peers together. */
  bodyTotalBytes: 100_663_296,
  /** A body that makes no progress, or that no message asks for, is dropped after this time. */
  bodyIdleMs: 30_000,
  /** Messages a peer may send without an answer: many are on their way to a disk, a cancel waits for an end. */
  windowMessages: 4096,
  /** Bytes of messages without an answer. */
  windowBytes: 8_388_608,
  /** Messages of one peer being handled, those without an answer included; the stream is not read beyond. */
  handlingMessages: 6144,
  /** Bytes of messages being handled. An honest peer stays within its window. */
  handlingBytes: 16_777_216,
  /** Bytes of messages being handled, of all peers together; beyond it a peer may have only its share. */
  handlingTotalBytes: 67_108_864,
  /** What a peer may have in hand although all together have more than that: nobody is shut out by others. */
  handlingShareBytes: 65_536,
  /** Messages that wait for the window or for the stream, per peer; asks leave half of it to the others. */
  outboxMessages: 16_384,
  /** Bytes of messages that wait, per peer. */
  outboxBytes: 8_388_608,
  /** Bytes of messages, and of bodies, that wait or cross, to all peers together. */
  outboxTotalBytes: 67_108_864,
  /** Messages a second one peer may send; more is read more slowly. Several times what a machine can decide. */
  messagesPerSecond: 65_536,
  /** Messages of one peer handled in one turn of the loop: then it is the others' turn. One full frame. */
  turnMessages: 128,
  /** Streams a second that one peer may open for these protocols: bodies and fetches of a busy requester. */
  streamsPerSecond: 256,
  /** How many of them at once. */
  streamBurst: 512,
  /** Links a second that one peer may open: both roles hear of each. An honest peer waits longer after each loss. */
  linksPerSecond: 1,
  /** How many of them at once. */
  linkBurst: 30,
  /** Logs and archives read by one peer at once. */
  fetchesPerPeer: 32,
  /** Logs and archives read by all peers at once: each holds a file and one window. */
  fetches: 256,
  /** Text of one frame of a log, in UTF-16 units; bytes of one frame of an archive: what crosses in one turn of the loop. */
  fetchChunk: 65_536,
  /** A reader of an answer that takes nothing for so long loses it; people read slowly. */
  fetchIdleMs: 600_000,
  /** A link on which nothing was sent for so long sends a sign of life. */
  pingMs: 2000,
  /** A peer of which nothing came for so long is given up: three signs of life are missing. */
  silenceMs: 6000,
  /** A peer that reads nothing of what is sent for so long loses its stream. */
  stalledMs: 30_000,
  /** The hello must come in this time. */
  helloMs: 10_000,
  /** First wait before a link that was lost is opened again; it doubles. */
  reopenMinMs: 250,
  /** Longest such wait. */
  reopenMaxMs: 30_000,
  /** A stream is closed in this time, or reset. */
  closeMs: 1000,
  /** Offences that close all connections of a peer; one is an accident. */
  strikes: 3,
  /** Within which time. */
  strikesWithinMs: 60_000,
  /** How long its connections are refused at first; it doubles. */
  barMs: 60_000,
  /** How long at most. */
  barMaxMs: 3_600_000,
  /** Peers whose offences are remembered. */
  rememberedPeers: 4096,
} as const;

/** The bounds as a test may set them; `wireLimits` holds the defaults. */
export type WireLimits = { readonly [K in keyof typeof wireLimits]: number };
