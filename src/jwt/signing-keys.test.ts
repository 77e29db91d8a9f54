import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { removeAtEnd } from "../../test/support/at-end.ts";
import { jwkSet, newJwk, publicPart } from "../../test/support/jwk.ts";
import { newSecret } from "../../test/support/keys.ts";
import { readConfig } from "../config/load.ts";
import type { Settings } from "../config/settings.ts";
import { secretKid } from "./key-ring.ts";
import { keysInUse, madeSigningKeys, openSigningKeys } from "./signing-keys.ts";

const [SECRET, PREVIOUS] = [newSecret(), newSecret()];
const [ONE, TWO] = [newJwk("ES256", "one"), newJwk("EdDSA", "two")];
const FOLDER = mkdtempSync(join(tmpdir(), "latchkey-signing-"));
removeAtEnd(FOLDER);

type KeySettings = Partial<
  Pick<Settings, "JWT_SECRET" | "JWT_SECRET_PREVIOUS" | "JWT_KEYS_FILE" | "ENVIRONMENT">
>;

function settingsWith(more: KeySettings): Settings {
  const config = readConfig({ JWT_SECRET: SECRET }, () => "");
  if (!config.ok) throw new Error(config.problems.join("\n"));
  return { ...config.settings, JWT_SECRET: undefined, ...more };
}

let files = 0;

/** A new file with this content. */
function keysFile(content: string | Uint8Array = jwkSet(ONE, TWO)): string {
  const path = join(FOLDER, `${++files}.json`);
  writeFileSync(path, content);
  return path;
}

async function opened(more: KeySettings) {
  const settings = settingsWith(more);
  const result = await openSigningKeys(settings);
  if (!result.ok || result.keys === undefined) throw new Error("there are no keys");
  const { keys } = result;
  return { keys, kids: () => keys.ring().kids, origins: () => originsOf(keys.ring(), settings) };
}

const originsOf = (...[ring, settings]: Parameters<typeof keysInUse>) =>
  keysInUse(ring, settings).map(({ kid, origin }) => [kid, origin]);

/** Why the keys of these settings are not accepted. */
async function problemsOf(more: KeySettings): Promise<readonly string[]> {
  const result = await openSigningKeys(settingsWith(more));
  return result.ok ? [] : result.problems;
}

describe("the first key signs, and all keys verify", () => {
  const JWT_SECRET_PREVIOUS = [PREVIOUS];

  test.each<readonly [what: string, settings: () => KeySettings, origins: readonly (readonly string[])[]]>([
    [
      "a secret signs before the former secrets and the file",
      () => ({ JWT_SECRET: SECRET, JWT_SECRET_PREVIOUS, JWT_KEYS_FILE: keysFile() }),
      [
        [secretKid(SECRET), "JWT_SECRET"],
        [secretKid(PREVIOUS), "JWT_SECRET_PREVIOUS"],
        ["one", "JWT_KEYS_FILE"],
        ["two", "JWT_KEYS_FILE"],
      ],
    ],
    [
      "without a secret, the first key of the file signs before the former secrets",
      () => ({ JWT_SECRET_PREVIOUS, JWT_KEYS_FILE: keysFile() }),
      [
        ["one", "JWT_KEYS_FILE"],
        ["two", "JWT_KEYS_FILE"],
        [secretKid(PREVIOUS), "JWT_SECRET_PREVIOUS"],
      ],
    ],
    ["a secret needs no file", () => ({ JWT_SECRET: SECRET }), [[secretKid(SECRET), "JWT_SECRET"]]],
    [
      "a key without its private part verifies behind one that signs",
      () => ({ JWT_KEYS_FILE: keysFile(jwkSet(ONE, publicPart(TWO))) }),
      [
        ["one", "JWT_KEYS_FILE"],
        ["two", "JWT_KEYS_FILE"],
      ],
    ],
    [
      "a key without its private part verifies behind a secret",
      () => ({ JWT_SECRET: SECRET, JWT_KEYS_FILE: keysFile(jwkSet(publicPart(ONE))) }),
      [
        [secretKid(SECRET), "JWT_SECRET"],
        ["one", "JWT_KEYS_FILE"],
      ],
    ],
  ])("%s", async (_what, settings, origins) => {
    const keys = await opened(settings());
    expect(keys.origins()).toEqual(origins);
    expect(keys.keys.ring().signing.kid).toBe(origins[0]?.[0]);
  });

  test("without a secret and a file, a generated secret signs before the former secrets, and never changes", async () => {
    const settings = settingsWith({ JWT_SECRET_PREVIOUS });
    expect(await openSigningKeys(settings)).toEqual({ ok: true, keys: undefined });
    const keys = await madeSigningKeys(SECRET, settings);
    expect(originsOf(keys.ring(), settings)).toEqual([
      [secretKid(SECRET), "generated"],
      [secretKid(PREVIOUS), "JWT_SECRET_PREVIOUS"],
    ]);
    expect(await keys.reload()).toEqual({ kind: "unchanged" });
    const alone = settingsWith({});
    expect(originsOf((await madeSigningKeys(SECRET, alone)).ring(), alone)).toEqual([
      [secretKid(SECRET), "generated"],
    ]);
  });
});

describe("a file of keys is not accepted, and its name is reported,", () => {
  const MISSING = "it cannot be read, or is no UTF-8 text";
  const SAME_KID = "a key has the kid of a JWT_SECRET: give it another one";

  test.each<readonly [what: string, content: string | Uint8Array, more: KeySettings, problem: string]>([
    ["if it is no text", Uint8Array.of(0xff), { JWT_SECRET: SECRET }, MISSING],
    ["if it is no set of keys", "{}", { JWT_SECRET: SECRET }, "is no JWK Set: keys: "],
    [
      "if its first key must sign and has no private part",
      jwkSet(publicPart(ONE), TWO),
      {},
      "the first key signs, and this one has no private part: put one first that has, or set JWT_SECRET",
    ],
    [
      "if a key has the kid of the secret",
      jwkSet(ONE, { ...TWO, kid: secretKid(SECRET) }),
      { JWT_SECRET: SECRET },
      SAME_KID,
    ],
    [
      "if a key has the kid of a former secret",
      jwkSet({ ...ONE, kid: secretKid(PREVIOUS) }),
      { JWT_SECRET_PREVIOUS: [newSecret(), PREVIOUS] },
      SAME_KID,
    ],
  ])("%s", async (_what, content, more, problem) => {
    const JWT_KEYS_FILE = keysFile(content);
    expect(await problemsOf({ ...more, JWT_KEYS_FILE })).toEqual([
      expect.stringContaining(`JWT_KEYS_FILE: ${JWT_KEYS_FILE}: ${problem}`),
    ]);
  });

  test("if it does not exist", async () => {
    const JWT_KEYS_FILE = join(FOLDER, "absent.json");
    expect(await problemsOf({ JWT_KEYS_FILE })).toEqual([`JWT_KEYS_FILE: ${JWT_KEYS_FILE}: ${MISSING}`]);
  });

  test.each([
    ["weak", "abcdefgh".repeat(5), "its secret repeats itself"],
    ["in use elsewhere", SECRET, "its secret is used twice, in JWT_KEYS_FILE and as JWT_SECRET"],
  ])("if a secret of it is %s, in production", async (_what, secret, problem) => {
    const k = Buffer.from(secret).toString("base64url");
    const more = { JWT_SECRET: SECRET, JWT_KEYS_FILE: keysFile(jwkSet({ ...newJwk("HS256", "one"), k })) };
    expect(await problemsOf({ ...more, ENVIRONMENT: "production" })).toEqual([
      `JWT_KEYS_FILE: ${more.JWT_KEYS_FILE}: keys[0] ("one"): ${problem}`,
    ]);
    expect(await problemsOf({ ...more, ENVIRONMENT: "development" })).toEqual([]);
  });
});

describe("a reload", () => {
  test("takes the keys of a changed file, and nothing from an unchanged one", async () => {
    const JWT_KEYS_FILE = keysFile(jwkSet(ONE));
    const { keys, kids } = await opened({ JWT_KEYS_FILE });
    expect(await keys.reload()).toEqual({ kind: "unchanged" });
    writeFileSync(JWT_KEYS_FILE, jwkSet(TWO, ONE));
    expect(await keys.reload()).toMatchObject({ kind: "taken" });
    expect([kids(), keys.ring().signing.kid]).toEqual([["two", "one"], "two"]);
    expect(await keys.reload()).toEqual({ kind: "unchanged" });
  });

  test("keeps the keys while the file is missing or invalid", async () => {
    const JWT_KEYS_FILE = keysFile(jwkSet(ONE));
    const { keys, kids } = await opened({ JWT_KEYS_FILE });
    const about = [expect.stringContaining(`JWT_KEYS_FILE: ${JWT_KEYS_FILE}: `)];
    rmSync(JWT_KEYS_FILE);
    expect(await keys.reload()).toEqual({ kind: "refused", problems: about });
    writeFileSync(JWT_KEYS_FILE, jwkSet(publicPart(TWO)));
    expect(await keys.reload()).toEqual({ kind: "refused", problems: about });
    expect(kids()).toEqual(["one"]);
    writeFileSync(JWT_KEYS_FILE, jwkSet(TWO));
    expect(await keys.reload()).toMatchObject({ kind: "taken" });
    expect(kids()).toEqual(["two"]);
  });

  test("that fails unexpectedly keeps the keys too, and quotes nothing of the file", async () => {
    const JWT_KEYS_FILE = keysFile(jwkSet(ONE));
    const previous = [PREVIOUS];
    const { keys, kids } = await opened({ JWT_KEYS_FILE, JWT_SECRET_PREVIOUS: previous });
    // The settings exclude such a secret, so that no reload expects it.
    previous[0] = "short";
    writeFileSync(JWT_KEYS_FILE, jwkSet(TWO));
    expect(await keys.reload()).toEqual({
      kind: "refused",
      problems: [`${JWT_KEYS_FILE}: the keys cannot be loaded (RangeError)`],
    });
    expect(kids()).toEqual(["one", secretKid(PREVIOUS)]);
  });
});
