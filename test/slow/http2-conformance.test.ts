import { mkdtemp, readFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { goProgram } from "../../scripts/checkers.ts";
import { startChild } from "../../scripts/child.ts";
import { checkMethod } from "../../src/ext-authz/method.ts";
import { startGrpcServer } from "../../src/grpc/server.ts";
import type { Stream } from "../../src/http2/server.ts";
import {
  encodeHeaderBlock,
  sendData,
  sendHead,
  sendTrailers,
  startHttp2Server,
} from "../../src/http2/server.ts";
import { removeAtEnd } from "../support/at-end.ts";

interface Report {
  readonly cases: number;
  readonly failed: readonly string[];
  /** They need DATA in a response. */
  readonly skipped: readonly string[];
}

/** Runs all cases of h2spec: RFC 7540, the predecessor of RFC 9113, and RFC 7541. */
async function h2spec(port: number): Promise<Report> {
  const folder = await mkdtemp(join(tmpdir(), "latchkey-h2spec-"));
  removeAtEnd(folder);
  const report = join(folder, "report.xml");
  const args = ["--strict", "--port", String(port), "--timeout", "1", "--junit-report", report];
  const child = await startChild(await goProgram("h2spec"), args, { env: {} });
  await child.exited;
  const all = [
    ...(await readFile(report, "utf8")).matchAll(
      /<testcase package="(.*?)" classname="(.*?)"(.*?)<\/testcase>/gs,
    ),
  ];
  const those = (tag: string) =>
    all.flatMap(([, section, what, found = ""]) => (found.includes(tag) ? [`${section}: ${what}`] : []));
  return {
    cases: all.length,
    failed: [...those("<error"), ...those("<failure")],
    skipped: those("<skipped"),
  };
}

/** The priorities of RFC 7540 are deprecated (RFC 9113 §5.3), and ignored. */
const PRIORITIES = [
  "http2/5.3.1: Sends HEADERS frame that depend on itself",
  "http2/5.3.1: Sends PRIORITY frame that depend on itself",
];

/** They check the DATA of a response, and h2spec's GET gets none from a gRPC listener. */
const WITHOUT_DATA = [
  "http2/6.5.3: Sends multiple values of SETTINGS_INITIAL_WINDOW_SIZE",
  "http2/6.9.1: Sends SETTINGS frame to set the initial window size to 1 and sends HEADERS frame",
  "http2/6.9.2: Changes SETTINGS_INITIAL_WINDOW_SIZE after sending HEADERS frame",
  "http2/6.9.2: Sends a SETTINGS frame for window size to be negative",
];

test("at the gRPC listener, h2spec finds only that priorities are ignored, and that a GET gets no DATA", async () => {
  const faults: unknown[] = [];
  const listener = await startGrpcServer({
    listen: "127.0.0.1:0",
    methods: [checkMethod(() => Buffer.alloc(0))],
    onFault: (error) => faults.push(error),
  });
  onTestFinished(() => listener.close(0));
  const { cases, failed, skipped } = await h2spec(Number(listener.address.split(":").at(-1)));
  expect(failed).toEqual([
    // They need DATA in a response as well.
    "generic/2: Sends a WINDOW_UPDATE frame on half-closed (remote) stream",
    "generic/2: Sends a PRIORITY frame on half-closed (remote) stream",
    // Its requests get a response at once and are closed, so their number never exceeds the limit.
    "http2/5.1.2: Sends HEADERS frames that causes their advertised concurrent stream limit to be exceeded",
    ...PRIORITIES,
  ]);
  expect(skipped).toEqual(WITHOUT_DATA);
  expect(cases).toBe(146);
  expect(faults).toEqual([]);
});

test("at a plain HTTP/2 server, which responds to GET with DATA, h2spec finds only that priorities are ignored", async () => {
  const { port, faults } = await startPlainServer();
  expect(await h2spec(port)).toEqual({ cases: 146, failed: PRIORITIES, skipped: [] });
  expect(faults).toEqual([]);
});

const HEAD = encodeHeaderBlock([[":status", "200"]]);
const BODY = Buffer.from("a response");

function respond(stream: Stream): void {
  sendHead(stream, HEAD, false);
  sendData(stream, BODY);
  sendTrailers(stream, encodeHeaderBlock([]));
}

/** The same HTTP/2 without gRPC: responds to each request when it is complete. */
async function startPlainServer(): Promise<{ readonly port: number; readonly faults: readonly unknown[] }> {
  const faults: unknown[] = [];
  const { port, close } = await startHttp2Server({
    listen: "127.0.0.1:0",
    handlesInvalid: () => false,
    maxHeaderBytes: 256 * 1024,
    maxRequestMs: 10_000,
    singleFields: [],
    nowMs: () => performance.now(),
    onRequest(stream) {
      stream.onBody = (_stream, _piece, isLast) => {
        if (isLast) respond(stream);
      };
    },
    maxStreams: 100,
    onFault: (error) => faults.push(error),
  });
  onTestFinished(() => close(0));
  return { port, faults };
}
