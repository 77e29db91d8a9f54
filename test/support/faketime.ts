import { mkdtempSync, renameSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { faketimeLibrary } from "../../scripts/faketime-binary.ts";
import { removeAtEnd } from "./at-end.ts";

/** A wall clock under the test's control, for processes that start with its environment. */
export interface FakeClock {
  /** For the environment of a process: Latchkey, Redis, or both. */
  readonly env: Readonly<Record<string, string>>;
  /**
   * Sets the wall clock this many seconds ahead of this machine's (negative: behind). The next reading shows
   * it.
   */
  set(offsetSeconds: number): void;
  /** Stops the wall clock at this NumericDate. */
  freeze(atSeconds: number): void;
}

/**
 * Only the wall clock is faked. The monotonic clock is the machine's, as after a manual change or an NTP step.
 */
export async function newFakeClock(offsetSeconds = 0): Promise<FakeClock> {
  const folder = mkdtempSync(join(tmpdir(), "latchkey-clock-"));
  removeAtEnd(folder);
  const file = join(folder, "time");
  const write = (text: string) => {
    // Renamed into place, so that a process never reads a partial file.
    writeFileSync(`${file}.new`, text);
    renameSync(`${file}.new`, file);
  };
  const set = (seconds: number) => write(`${seconds < 0 ? "" : "+"}${seconds}`);
  set(offsetSeconds);
  const env = {
    // libc's allocator must precede Redis's jemalloc, which asks for the time while the library itself
    // allocates: Redis would hang.
    LD_PRELOAD: `${await faketimeLibrary()} libc.so.6`,
    FAKETIME_TIMESTAMP_FILE: file,
    FAKETIME_NO_CACHE: "1",
    FAKETIME_DONT_FAKE_MONOTONIC: "1",
    TZ: "UTC",
  };
  return {
    env,
    set,
    freeze: (seconds) => write(new Date(seconds * 1000).toISOString().slice(0, 19).replace("T", " ")),
  };
}
