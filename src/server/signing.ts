import type { SecretStore } from "../config/secrets.ts";
import { madeJwtSecret } from "../config/secrets.ts";
import type { KeySigner } from "../core/keys/ports.ts";
import { createSigner } from "../jwt/signer.ts";
import type { SigningKeys } from "../jwt/signing-keys.ts";
import { madeSigningKeys } from "../jwt/signing-keys.ts";
import type { CachingVerifier } from "../jwt/verifier.ts";
import { createVerifier } from "../jwt/verifier.ts";
import { FAULTS, unsetSecretLogger } from "../telemetry/fault-messages.ts";
import { tokenCacheSize } from "./cache-size.ts";
import type { Runtime } from "./runtime.ts";

export interface SigningDeps {
  /** Undefined if the settings name none. Then a secret is generated and stored. */
  readonly signingKeys: SigningKeys | undefined;
  readonly secrets: SecretStore;
}

/** Signs and verifies the keys that this fleet issues. */
export interface SigningServices {
  readonly keys: SigningKeys;
  readonly signer: KeySigner;
  readonly verifier: CachingVerifier;
}

/** Loads changed signing keys while Checks are decided. An invalid file is rejected and logged, and the old keys stay. */
export async function openSigning(
  { settings, metrics, log, shutdown }: Omit<Runtime, "clock">,
  { signingKeys, secrets }: SigningDeps,
): Promise<SigningServices> {
  const keys =
    signingKeys ?? (await madeSigningKeys(await madeJwtSecret(secrets, unsetSecretLogger(log)), settings));
  const names = { issuer: settings.JWT_ISSUER, audience: settings.JWT_AUDIENCE };
  const verifier = createVerifier({
    ...names,
    ring: keys.ring,
    cacheSize: tokenCacheSize(settings.WORKERS),
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
      log.error({ problems: reload.problems }, FAULTS.keysRejected);
    }
  });
  keys.watch();
  shutdown.defer("the watch on the signing keys", keys.close);
  return { keys, signer: createSigner(keys.ring, names), verifier };
}
