import { execFileSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import { beforeAll, expect, test } from "vitest";
import { z } from "zod";
import { ATTACKS, FIXED, MOST_HELD_BYTES, PER_BYTE } from "../cost/attacks.ts";

const cost = z.object({
  name: z.string(),
  receivedBytes: z.number(),
  steps: z.number(),
  heldBytes: z.number(),
  sentBytes: z.number(),
});
type Cost = z.output<typeof cost>;

const measured = new Map<string, Cost>();

beforeAll(() => {
  const program = fileURLToPath(new URL("../cost/measure.ts", import.meta.url));
  const args = ["--disable-warning=ExperimentalWarning", "--expose-gc", program];
  const all = z.array(cost).parse(JSON.parse(execFileSync(process.execPath, args, { encoding: "utf8" })));
  for (const one of all) measured.set(one.name, one);
  console.log(all.map(describeCost).join("\n"));
});

function describeCost({ name, receivedBytes, steps, heldBytes, sentBytes }: Cost): string {
  const [work, held, sent] = [steps, heldBytes, sentBytes].map((total) => (total / receivedBytes).toFixed(1));
  return `${name}: ${receivedBytes} bytes received; per byte ${work} statements, ${held} bytes held, ${sent} bytes sent`;
}

test.each(ATTACKS)("work, memory and output stay proportional to the input: $name", ({ name, perByte }) => {
  const { receivedBytes, steps, heldBytes, sentBytes } = cost.parse(measured.get(name));
  const most = { ...PER_BYTE, ...perByte };
  expect(receivedBytes).toBeGreaterThan(1000);
  expect(steps).toBeLessThanOrEqual(FIXED.steps + most.steps * receivedBytes);
  expect(heldBytes).toBeLessThanOrEqual(FIXED.held + most.held * receivedBytes);
  expect(heldBytes).toBeLessThanOrEqual(MOST_HELD_BYTES);
  expect(sentBytes).toBeLessThanOrEqual(FIXED.sent + most.sent * receivedBytes);
});
