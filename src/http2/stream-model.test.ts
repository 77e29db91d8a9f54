import fc from "fast-check";
import { test } from "vitest";
import { bounds, commands } from "../../test/support/http2-model/commands.ts";
import { finish, runCommand } from "../../test/support/http2-model/run.ts";
import { createWorld } from "../../test/support/http2-model/world.ts";

const RUNS = 300;
const SECOND_MS = 1000;
/** A search of this time instead of a number of runs. */
const seconds = process.env["HTTP2_MODEL_SECONDS"];
const search =
  seconds === undefined
    ? { numRuns: RUNS }
    : { numRuns: Number.MAX_SAFE_INTEGER, interruptAfterTimeLimit: Number(seconds) * SECOND_MS };

test("for every order of frames, answers, limits and time, both sides agree on streams and windows, each stream ends once, and no limit is exceeded", {
  timeout: (Number(seconds ?? 0) + 120) * SECOND_MS,
}, () => {
  fc.assert(
    fc.property(bounds, commands, (limits, all) => {
      const world = createWorld(limits);
      for (const command of all) runCommand(world, command);
      finish(world);
    }),
    search,
  );
});
