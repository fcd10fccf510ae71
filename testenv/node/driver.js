// Drives node-oracledb (thin mode) by a job: {"steps": [...]} on standard input,
// one JSON result a line on standard output, in the order of the steps. The
// vocabulary is described in ../drivers/job.go. Called as "driver.js converse", it
// reads one step a line and answers it before the next. Called as "driver.js loop",
// it reads a job as in ../drivers/loop.go from one line, and stops when its input ends.
'use strict';

const fs = require('fs');
const readline = require('readline');
const oracledb = require('oracledb');

const kinds = {
  number: oracledb.DB_TYPE_NUMBER,
  varchar: oracledb.DB_TYPE_VARCHAR,
  date: oracledb.DB_TYPE_DATE,
  timestamp: oracledb.DB_TYPE_TIMESTAMP,
  raw: oracledb.DB_TYPE_RAW,
  clob: oracledb.DB_TYPE_CLOB,
};

// fetchTypeHandler keeps every digit of a NUMBER; LOBs stay locators, so that
// they are read with calls of their own.
function fetchTypeHandler(column) {
  return column.dbType === oracledb.DB_TYPE_NUMBER ? { type: oracledb.STRING } : undefined;
}

function native(value) {
  if (value.text === null || value.text === undefined) return null;
  switch (value.kind) {
    case 'number': return Number(value.text);
    case 'date':
    case 'timestamp': return new Date(value.text + 'Z'); // the process runs with TZ=UTC
    case 'raw': return Buffer.from(value.text, 'hex');
    default: return value.text;
  }
}

async function textOf(value) {
  if (value === null || value === undefined) return null;
  if (value instanceof Date) return value.toISOString().replace('Z', '');
  if (Buffer.isBuffer(value)) return value.toString('hex').toUpperCase();
  if (value instanceof oracledb.Lob) return textOf(await value.getData());
  return String(value);
}

function binds(values) {
  return (values || []).map((value) => {
    if (value.out) return { dir: oracledb.BIND_OUT, type: kinds[value.kind], maxSize: 4000 };
    return { val: native(value), type: kinds[value.kind] };
  });
}

const connections = new Map();

function connection(step) {
  const c = connections.get(step.on);
  if (!c) throw new Error(`no connection "${step.on}"`);
  return c;
}

async function rowsOf(result) {
  return Promise.all(result.rows.map((row) => Promise.all(row.map(textOf))));
}

async function fetchAll(c, step) {
  const result = await c.execute(step.sql, [], { resultSet: true, fetchArraySize: 1000, fetchTypeHandler });
  let count = 0;
  let sum = 0n;
  for (;;) {
    const rows = await result.resultSet.getRows(1000);
    for (const row of rows) sum += BigInt(row[0]);
    count += rows.length;
    if (rows.length === 0) break;
  }
  await result.resultSet.close();
  return { count, sum: String(sum) };
}

async function many(c, step) {
  const rows = step.rows.map((row) => row.map(native));
  const bindDefs = step.rows[0].map((value) => ({ type: kinds[value.kind], maxSize: 4000 }));
  const result = await c.executeMany(step.sql, rows, { bindDefs, dmlRowCounts: true });
  return { affected: result.rowsAffected, counts: result.dmlRowCounts };
}

// interrupt runs a statement that must not run to its end.
async function interrupt(c, step) {
  if (step.by === 'timeout') {
    c.callTimeout = step.after_ms;
    try {
      await c.execute(step.sql);
    } finally {
      c.callTimeout = 0;
    }
    return {};
  }
  const timer = setTimeout(() => c.break().catch(() => {}), step.after_ms);
  try {
    await c.execute(step.sql);
  } finally {
    clearTimeout(timer);
  }
  return {};
}

const actions = {
  async connect(step) {
    const c = await oracledb.getConnection({ user: step.user, password: step.password, connectString: step.target });
    connections.set(step.on, c);
    return {};
  },
  async close(step) {
    const c = connection(step);
    connections.delete(step.on);
    await c.close();
    return {};
  },
  async query(step) {
    const result = await connection(step).execute(step.sql, binds(step.binds), { fetchTypeHandler, maxRows: 1000 });
    return { rows: await rowsOf(result) };
  },
  async fetch(step) { return fetchAll(connection(step), step); },
  async execute(step) {
    const result = await connection(step).execute(step.sql, binds(step.binds));
    return { affected: result.rowsAffected || 0 };
  },
  async many(step) { return many(connection(step), step); },
  async call(step) {
    const result = await connection(step).execute(step.sql, binds(step.binds));
    return { out: await Promise.all((result.outBinds || []).map(textOf)) };
  },
  async commit(step) { await connection(step).commit(); return {}; },
  async rollback(step) { await connection(step).rollback(); return {}; },
  async ping(step) { await connection(step).ping(); return {}; },
  async interrupt(step) { return interrupt(connection(step), step); },
};

async function run(step) {
  const began = process.hrtime.bigint();
  let result;
  try {
    const action = actions[step.do];
    if (!action) throw new Error(`no action "${step.do}"`);
    result = await action(step);
  } catch (err) {
    result = { error: `${err.message}` };
  }
  result.took_ms = Number(process.hrtime.bigint() - began) / 1e6;
  return result;
}

async function main() {
  const job = JSON.parse(fs.readFileSync(0, 'utf8'));
  for (const step of job.steps) {
    process.stdout.write(JSON.stringify(await run(step)) + '\n');
  }
  for (const c of connections.values()) await c.close().catch(() => {});
}

async function converse() {
  for await (const line of readline.createInterface({ input: process.stdin })) {
    process.stdout.write(JSON.stringify(await run(JSON.parse(line))) + '\n');
  }
  for (const c of connections.values()) await c.close().catch(() => {});
}

// target gives each connect of a loop a loopback address of its own.
function target(job, n) {
  return job.target.split('{door}').join(`127.${job.doors}.${(n >> 8) & 255}.${n & 255}`);
}

// once is one connect of a loop, of which whatever the driver says is the result.
async function once(job, n) {
  const startedMS = Date.now();
  const began = process.hrtime.bigint();
  const elapsed = () => Number(process.hrtime.bigint() - began) / 1e6;
  const result = { n, started_ms: startedMS, stage: 'connect', error: '', answer: '' };
  let c;
  try {
    try {
      c = await oracledb.getConnection({ user: job.user, password: job.password, connectString: target(job, n) });
    } finally {
      result.connect_ms = elapsed();
    }
    result.stage = 'query';
    result.answer = String((await c.execute(job.sql)).rows[0][0]);
    result.stage = 'close';
    await c.close();
  } catch (err) {
    result.error = `${err.message}`;
    if (c && result.stage === 'query') c.close().catch(() => {});
  }
  result.took_ms = elapsed();
  return result;
}

async function loop() {
  let input = '';
  let stopped = false;
  let wake = () => {};
  await new Promise((resolve) => {
    process.stdin.on('data', (text) => {
      input += text;
      if (input.includes('\n')) resolve();
    });
    process.stdin.on('end', () => {
      stopped = true;
      wake();
      resolve();
    });
  });
  const job = JSON.parse(input);
  const open = new Map();
  const began = Date.now();
  let freed = () => {};
  const pause = (ms) => new Promise((resolve) => {
    wake = resolve;
    setTimeout(resolve, ms);
  });
  const place = () => new Promise((resolve) => {
    wake = resolve;
    freed = resolve;
  });
  for (let n = 0; !stopped && (!job.count || n < job.count); n++) {
    const due = began + (n * 1000) / job.rate - Date.now();
    if (due > 0) await pause(due);
    while (open.size >= job.most && !stopped) await place();
    if (stopped) break;
    const startedMS = Date.now();
    open.set(n, startedMS);
    once(job, n).then((result) => {
      if (!open.delete(n)) return; // given up
      process.stdout.write(JSON.stringify(result) + '\n');
      freed();
    });
  }
  const deadline = Date.now() + job.grace_ms;
  while (open.size > 0 && Date.now() < deadline) await new Promise((resolve) => { setTimeout(resolve, 20); });
  for (const [n, startedMS] of open) {
    const took = Date.now() - startedMS;
    const result = { n, started_ms: startedMS, connect_ms: took, took_ms: took, stage: 'connect', error: 'unfinished when the loop ended', answer: '' };
    process.stdout.write(JSON.stringify(result) + '\n');
  }
  open.clear();
  process.stdout.write('', () => process.exit(0));
}

({ loop, converse }[process.argv[2]] || main)().catch((err) => {
  console.error(err);
  process.exit(1);
});
