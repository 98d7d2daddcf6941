import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { metricDefinitions } from '../../../src/telemetry/metric-table.ts';
import { createMetrics, createStageMetrics, METRICS_CONTENT_TYPE } from '../../../src/telemetry/metrics.ts';

const make = (): ReturnType<typeof createMetrics> => createMetrics({ version: 'v1', processMetrics: false });

/** Value of one line of Prometheus text. */
function value(text: string, series: string): number | undefined {
  const line = text.split('\n').find((one) => one.startsWith(`${series} `));
  return line === undefined ? undefined : Number(line.slice(series.length + 1));
}

describe('metrics', () => {
  it('show a stage as its counters say', async () => {
    const metrics = make();
    const stage = metrics.createStageMetrics('bid');
    stage.itemsIn(3);
    stage.itemsOut('advance', 2);
    stage.itemsOut('reject');
    stage.itemsRefused();
    stage.setBound(8);
    stage.setDepth(5);
    stage.setDepth(2);
    stage.setInFlight(4);
    stage.batch(3);
    stage.batch(64);
    stage.batch(10_000);
    stage.busy(1500);
    stage.ranOn(7, 3);
    const text = await metrics.render();
    const expected: Record<string, number> = {
      'bacalhau_stage_items_in_total{stage="bid"}': 3,
      'bacalhau_stage_items_out_total{stage="bid",outcome="advance"}': 2,
      'bacalhau_stage_items_out_total{stage="bid",outcome="reject"}': 1,
      'bacalhau_stage_items_out_total{stage="bid",outcome="fail"}': 0,
      'bacalhau_stage_items_refused_total{stage="bid"}': 1,
      'bacalhau_stage_queue_bound{stage="bid"}': 8,
      'bacalhau_stage_queue_depth{stage="bid"}': 2,
      'bacalhau_stage_queue_high_water{stage="bid"}': 5,
      'bacalhau_stage_in_flight{stage="bid"}': 4,
      'bacalhau_stage_busy_seconds_total{stage="bid"}': 1.5,
      'bacalhau_stage_thread_items_total{stage="bid",thread="7"}': 3,
      'bacalhau_stage_batch_size_bucket{stage="bid",le="2"}': 0,
      'bacalhau_stage_batch_size_bucket{stage="bid",le="4"}': 1,
      'bacalhau_stage_batch_size_bucket{stage="bid",le="64"}': 2,
      'bacalhau_stage_batch_size_bucket{stage="bid",le="+Inf"}': 3,
      'bacalhau_stage_batch_size_sum{stage="bid"}': 10_067,
      'bacalhau_stage_batch_size_count{stage="bid"}': 3,
    };
    for (const [series, number] of Object.entries(expected))
      assert.equal(value(text, series), number, series);
    assert.equal(metrics.createStageMetrics('bid'), stage);
  });

  it('count bids and routes', async () => {
    const metrics = make();
    metrics.bid('rejected', 'no_room');
    metrics.bid('rejected', 'no_room');
    metrics.bid('accepted', '');
    const route = metrics.createRouteMetrics('GET', '/x/:id');
    route.answered(200, 3);
    route.answered(404, 700);
    const text = await metrics.render();
    assert.equal(value(text, 'bacalhau_bids_total{outcome="rejected",reason="no_room"}'), 2);
    assert.equal(value(text, 'bacalhau_bids_total{outcome="accepted",reason=""}'), 1);
    assert.equal(value(text, 'bacalhau_http_requests_total{method="GET",route="/x/:id",status="404"}'), 1);
    assert.equal(
      value(text, 'bacalhau_http_request_seconds_bucket{method="GET",route="/x/:id",le="0.005"}'),
      1,
    );
    assert.equal(value(text, 'bacalhau_http_request_seconds_count{method="GET",route="/x/:id"}'), 2);
  });

  it('ask their sources at every scrape, and put several together', async () => {
    const metrics = make();
    let running = 1;
    metrics.observe('bacalhau_executions', () => [{ labels: { state: 'Running' }, value: running }]);
    metrics.observe('bacalhau_executions', () => [{ labels: { state: 'Failed' }, value: 9 }]);
    assert.equal(value(await metrics.render(), 'bacalhau_executions{state="Running"}'), 1);
    running = 5;
    const text = await metrics.render();
    assert.equal(value(text, 'bacalhau_executions{state="Running"}'), 5);
    assert.equal(value(text, 'bacalhau_executions{state="Failed"}'), 9);
    assert.equal(value(text, 'bacalhau_build_info{version="v1"}'), 1);
  });

  it('are text that Prometheus reads: every metric once, with its type', async () => {
    const metrics = make();
    metrics.createStageMetrics('a"b\\c').itemsIn();
    const text = await metrics.render();
    for (const [name, { type }] of Object.entries(metricDefinitions)) {
      assert.equal(text.split(`# TYPE ${name} ${type}\n`).length, 2, name);
    }
    for (const line of text.split('\n')) {
      assert.match(line, /^$|^# (HELP|TYPE) \w+ .+$|^\w+(\{(\w+="(\\.|[^"\\])*",?)*\})? [-+.\deE]+$/);
    }
    assert.match(METRICS_CONTENT_TYPE, /^text\/plain/);
  });

  it('of two nodes in one process are apart', async () => {
    const [one, two] = [make(), make()];
    one.createStageMetrics('bid').itemsIn();
    assert.equal(value(await two.render(), 'bacalhau_stage_items_in_total{stage="bid"}'), undefined);
    const loose = createStageMetrics('bid');
    loose.itemsIn(2);
    assert.equal(loose.in, 2);
  });
});
