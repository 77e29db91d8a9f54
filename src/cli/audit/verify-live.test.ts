import { createServer } from "node:http";
import { expect, onTestFinished, test } from "vitest";
import type { AuditVerification } from "../../client/types.ts";
import { verifyLive } from "./verify-live.ts";

const RUN = { started_at: "2027-01-15T12:00:00.000Z", files: 1, bytes_read: 0, bytes_total: 9, chains: [] };

/** A load balancer whose calls reach instances with these states, one after the other. The last state repeats. */
async function verify(...states: readonly Partial<AuditVerification>[]) {
  let calls = 0;
  const server = createServer((_, response) => {
    const state = states[Math.min(calls++, states.length - 1)];
    response.setHeader("content-type", "application/json");
    response.end(JSON.stringify({ ...RUN, lines: null, problem: null, file: null, line: null, ...state }));
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  onTestFinished(() => void server.close());
  const address = server.address();
  const port = typeof address === "object" && address !== null ? address.port : 0;
  const printed: string[] = [];
  const errors: string[] = [];
  const exitCode = await verifyLive(
    {
      environment: { LATCHKEY_URL: `http://127.0.0.1:${port}` },
      print: (text) => printed.push(text),
      printError: (text) => errors.push(text),
    },
    {},
  );
  return { exitCode, printed: printed.join("\n"), errors: errors.join("\n") };
}

test("a run that ends intact succeeds", async () => {
  const result = await verify({ state: "running" }, { state: "running" }, { state: "intact", lines: 3 });
  expect(result).toMatchObject({ exitCode: 0, errors: "" });
  expect(result.printed).toContain("3 lines in 1 files verified");
});

test.each([
  ["an earlier run", { state: "intact", lines: 3, started_at: "2027-01-14T12:00:00.000Z" }],
  ["no run", { state: "never", started_at: null }],
] as const)("the state of another instance with %s does not count as the result", async (_, other) => {
  const { exitCode, printed, errors } = await verify({ state: "running" }, other);
  expect(exitCode).toBe(1);
  expect(printed).toBe("");
  expect(errors).toContain("another instance");
});
