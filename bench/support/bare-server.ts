import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';

/** The least that answers a submission: reads the body, parses it, answers as many bytes as the node does. */
const ANSWER = JSON.stringify({
  JobID: 'j-00000000-0000-7000-8000-000000000000',
  EvaluationID: '00000000-0000-7000-8000-000000000000',
  Warnings: null,
});

const server = createServer((request, response) => {
  const chunks: Buffer[] = [];
  request.on('data', (chunk: Buffer) => void chunks.push(chunk));
  request.on('end', () => {
    JSON.parse(Buffer.concat(chunks).toString());
    response.writeHead(200, { 'Content-Type': 'application/json', 'Content-Length': ANSWER.length });
    response.end(ANSWER);
  });
});
server.listen(0, '127.0.0.1', () => console.log((server.address() as AddressInfo).port));
