import { expect, test } from "vitest";
import { createHealth, SERVING_STATUS } from "./health.ts";

test("a watch that begins once the door closes is told the status and ends, so that nothing holds the end up", () => {
  const health = createHealth([]);
  health.setServing(true);
  health.close();
  const told: unknown[] = [];
  health.watch("", { onStatus: (status) => told.push(status), onEnd: () => told.push("end") });
  expect(told).toEqual([SERVING_STATUS.SERVING, "end"]);
});
