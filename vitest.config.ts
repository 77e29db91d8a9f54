import { defineConfig } from "vitest/config";

const SECOND_MS = 1000;

/** Real processes need a while to start on a busy machine; nothing waits for a timeout when it works. */
const e2e = { testTimeout: 90 * SECOND_MS, hookTimeout: 120 * SECOND_MS };
/** A platform is installed or built before its tests, once per machine. */
const platforms = { testTimeout: 900 * SECOND_MS, hookTimeout: 3600 * SECOND_MS };

export default defineConfig({
  test: {
    maxWorkers: 2,
    // A wait ends with its condition. The limit is for a busy machine, so only a guarantee sets a shorter one.
    expect: { poll: { timeout: 60 * SECOND_MS } },
    projects: [
      { extends: true, test: { name: "unit", include: ["src/**/*.test.ts"], testTimeout: e2e.testTimeout } },
      { extends: true, test: { name: "contract", include: ["test/contract/**/*.test.ts"], ...e2e } },
      { extends: true, test: { name: "e2e", include: ["test/e2e/**/*.test.ts"], ...e2e } },
      {
        extends: true,
        test: {
          name: "slow",
          include: [
            "test/slow/**/*.test.ts",
            // The package needs no platform, and a change that breaks its build must not wait for them.
            "test/platforms/package.test.ts",
            "test/fuzz/**/*.test.ts",
            "test/guided/**/*.test.ts",
            "test/histories/**/*.test.ts",
            "test/soak/**/*.test.ts",
          ],
          // The longest takes 80 s on a quiet machine.
          testTimeout: 600 * SECOND_MS,
          hookTimeout: 120 * SECOND_MS,
        },
      },
      {
        extends: true,
        test: {
          name: "long",
          include: [
            "test/fuzz/**/*.test.ts",
            "test/guided/**/*.test.ts",
            "test/histories/**/*.test.ts",
            "test/soak/**/*.test.ts",
            "src/http2/stream-model.test.ts",
            "test/slow/sentinel-failover.test.ts",
            "test/slow/model-checking.test.ts",
            "test/slow/cluster-failover.test.ts",
            "test/long/**/*.test.ts",
          ],
          // Tests that take longer set their own.
          testTimeout: 300 * SECOND_MS,
          hookTimeout: 120 * SECOND_MS,
        },
      },
      { extends: true, test: { name: "platforms", include: ["test/platforms/*.test.ts"], ...platforms } },
      {
        extends: true,
        test: { name: "platforms-built", include: ["test/platforms/built/*.test.ts"], ...platforms },
      },
    ],
  },
});
