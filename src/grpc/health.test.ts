import { expect, test } from "vitest";
import { createHealth, SERVING_STATUS } from "./health.ts";

test("a watch that starts after the close is notified of the status and ends, so that it does not delay the shutdown", () => {
  const health = createHealth([]);
  health.setServing(true);
  health.close();
  const events: unknown[] = [];
  health.watch("", { onStatus: (status) => events.push(status), onEnd: () => events.push("end") });
  expect(events).toEqual([SERVING_STATUS.SERVING, "end"]);
});
