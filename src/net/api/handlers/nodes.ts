import { NodeError } from '../../../core/errors.ts';
import { meets, parseSelectors } from '../../../requester/selectors.ts';
import type { RequesterService } from '../../../requester/service.ts';
import type { HttpReply, HttpRequest, Route } from '../adapter.ts';
import { fieldsOf } from '../body.ts';
import { choice, flag, text, unsigned } from '../query.ts';
import { json } from '../reply.ts';
import { type BuildInfo, type NodeStateWire, nodeStateToWire } from '../wire/node.ts';

const NODES = '/api/v1/orchestrator/nodes';
const ACTIONS: readonly ['approve', 'reject', 'delete'] = ['approve', 'reject', 'delete'];

type Order = (a: NodeStateWire, b: NodeStateWire) => number;
type Dimension = 'CPU' | 'Memory' | 'Disk' | 'GPU';

const available =
  (dimension: Dimension): Order =>
  (a, b) =>
    (b.Info.ComputeNodeInfo.AvailableCapacity[dimension] ?? 0) -
    (a.Info.ComputeNodeInfo.AvailableCapacity[dimension] ?? 0);
const byText =
  (read: (node: NodeStateWire) => string): Order =>
  (a, b) => {
    const [left, right] = [read(a), read(b)];
    return left < right ? -1 : left > right ? 1 : 0;
  };

/** Capacity is listed with the most first. */
const orders = {
  id: byText((node) => node.Info.NodeID),
  type: byText((node) => node.Info.NodeType),
  available_cpu: available('CPU'),
  available_memory: available('Memory'),
  available_disk: available('Disk'),
  available_gpu: available('GPU'),
  approval: byText((node) => node.Membership),
  status: byText((node) => node.ConnectionState.Status),
};
const orderNames = Object.keys(orders) as (keyof typeof orders)[];

/** Nodes as the requester knows them. */
export function nodeRoutes(requester: RequesterService, build: BuildInfo): Route[] {
  const list = (request: HttpRequest): HttpReply => {
    const { query } = request;
    const requirements = parseSelectors(query.getAll('labels'));
    const approval = text(query, 'filter-approval').toUpperCase();
    const status = text(query, 'filter-status').toUpperCase();
    const order = choice(query, 'order_by', orderNames);
    const limit = unsigned(query, 'limit');
    const nodes = requester
      .nodes()
      .filter(
        (node) =>
          requirements.every((requirement) => meets(node.info.labels, requirement)) &&
          (approval === '' || node.membership === approval) &&
          (status === '' || node.connection === status),
      )
      .map((node) => nodeStateToWire(node, build));
    if (order !== '') nodes.sort(orders[order]);
    if (flag(query, 'reverse')) nodes.reverse();
    return json({ NextToken: '', Nodes: limit === 0 ? nodes : nodes.slice(0, limit) });
  };

  const get = (request: HttpRequest): HttpReply =>
    json({ Node: nodeStateToWire(requester.node(request.params['id'] ?? ''), build) });

  const set = async (request: HttpRequest): Promise<HttpReply> => {
    const fields = await fieldsOf(request);
    const wanted = fields.text('Action');
    const action = ACTIONS.find((one) => one === wanted);
    if (action === undefined) {
      throw new NodeError(
        'MalformedBody',
        `unknown Action ${JSON.stringify(wanted)} (expected ${ACTIONS.join(', ')})`,
      );
    }
    const { info } = requester.node(request.params['id'] ?? '');
    await requester.setNode(info.nodeId, action, fields.text('Message'));
    return json({ Success: true });
  };

  const role = 'requester';
  return [
    { method: 'GET', path: NODES, role, handle: list },
    { method: 'GET', path: `${NODES}/:id`, role, handle: get },
    { method: 'PUT', path: `${NODES}/:id`, role, handle: set },
  ];
}
