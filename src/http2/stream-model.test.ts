import fc from "fast-check";
import { test } from "vitest";
import { bounds, commands } from "../../test/support/http2-model/commands.ts";
import { finish, runCommand } from "../../test/support/http2-model/run.ts";
import { createWorld } from "../../test/support/http2-model/world.ts";

const SECOND_MS = 1000;
const { HTTP2_MODEL_SECONDS: seconds, MUTANT_TESTS } = process.env;

/** A number of runs, or a search for a time. The mutation tests need the same runs each time, and no small counter-example. */
const search = {
  ...(seconds === undefined
    ? { numRuns: 150 }
    : { numRuns: Number.MAX_SAFE_INTEGER, interruptAfterTimeLimit: Number(seconds) * SECOND_MS }),
  ...(MUTANT_TESTS !== undefined && { seed: 1, endOnFailure: true }),
};

test("for every order of frames, responses and time, both sides agree on streams and windows, each stream ends once, and no limit is exceeded", {
  timeout: (Number(seconds ?? 0) + 180) * SECOND_MS,
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
