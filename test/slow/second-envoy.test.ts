import { describe, expect, test } from "vitest";
import { EXAMPLES } from "../../scripts/envoy-process.ts";
import { createCa } from "../support/certificates.ts";
import { validateExample } from "../support/envoy.ts";
import { envoyFolders } from "../support/envoy-files.ts";
import { envoyMatrix } from "../support/envoy-matrix.ts";

const VERSION = "1.39.3";

describe(`through Envoy ${VERSION}`, () => envoyMatrix(VERSION));

test(`Envoy ${VERSION} accepts every example too`, async () => {
  const folders = await envoyFolders(await createCa());
  for (const name of EXAMPLES) expect(await validateExample(name, folders, VERSION)).toBe("OK");
});
