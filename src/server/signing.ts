import type { SecretStore } from "../config/secrets.ts";
import { madeJwtSecret } from "../config/secrets.ts";
import type { Settings } from "../config/settings.ts";
import type { KeySigner } from "../core/keys/ports.ts";
import { createSigner } from "../jwt/signer.ts";
import type { SigningKeys } from "../jwt/signing-keys.ts";
import { madeSigningKeys } from "../jwt/signing-keys.ts";
import type { CachingVerifier } from "../jwt/verifier.ts";
import { createVerifier } from "../jwt/verifier.ts";
import { FAULTS, unsetSecretLogger } from "../telemetry/fault-messages.ts";
import type { Log } from "../telemetry/log.ts";
import type { Metrics } from "../telemetry/metrics/metrics.ts";
import type { Shutdown } from "./shutdown.ts";

/** Verified tokens kept: some 600 bytes each. */
const VERIFY_CACHE_SIZE = 100_000;

export interface SigningOptions {
  readonly settings: Settings;
  /** Undefined: the settings name none. */
  readonly signingKeys: SigningKeys | undefined;
  readonly secrets: SecretStore;
  readonly metrics: Metrics;
  readonly log: Log;
  readonly closing: Shutdown;
}

/** What an instance has for keys that it signs itself. */
export interface SigningServices {
  readonly keys: SigningKeys;
  readonly signer: KeySigner;
  readonly verifier: CachingVerifier;
}

/** Signs and verifies by the keys in force; a changed file is taken up while Checks go on, a bad one refused and said. */
export async function openSigning(options: SigningOptions): Promise<SigningServices> {
  const { settings, metrics, log, closing } = options;
  const keys =
    options.signingKeys ??
    (await madeSigningKeys(await madeJwtSecret(options.secrets, unsetSecretLogger(log)), settings));
  const names = { issuer: settings.JWT_ISSUER, audience: settings.JWT_AUDIENCE };
  const verifier = createVerifier({
    ...names,
    ring: keys.ring,
    cacheSize: VERIFY_CACHE_SIZE,
    observe: metrics.verifyCache,
  });
  metrics.signingKeys(keys.ring());
  keys.onReload((reload) => {
    metrics.keysReload(reload.kind);
    if (reload.kind === "taken") {
      verifier.clear();
      metrics.signingKeys(keys.ring());
      log.info({ kids: keys.ring().kids }, "new signing keys are in force; the first one signs");
    } else {
      log.error({ problems: reload.problems }, FAULTS.keysRefused);
    }
  });
  keys.watch();
  closing.defer("the watch on the signing keys", keys.close);
  return { keys, signer: createSigner(keys.ring, names), verifier };
}
