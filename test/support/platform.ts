import { describe } from "vitest";
import type { Platform } from "../../scripts/platforms.ts";
import { PLATFORMS, whyNotHere, writeNote } from "../../scripts/platforms.ts";

/**
 * A suite that needs root and Debian's packages. On another machine it is skipped, and the table of platforms has the reason.
 * In CI it must run.
 */
export async function describePlatform(platform: Platform, suite: () => void): Promise<void> {
  const notRun = await whyNotHere();
  if (notRun !== undefined) writeNote(platform, { versions: "", notRun });
  describe.skipIf(notRun !== undefined)(PLATFORMS[platform], suite);
}
