import type { ImportDeps } from "../legacy/legacy-import.ts";
import type { LegacyRegistrationDeps, MigrationDeps } from "../legacy/legacy-keys.ts";
import type { PhaseDeps } from "../legacy/migration-switch.ts";
import type { OverrideDeps } from "../overrides/override-administration.ts";
import type { InstanceView } from "../revocation/instance-view.ts";
import type { FreezeDeps } from "./freeze.ts";
import type { ChangeDeps, ShowDeps } from "./key-administration.ts";
import type { ListDeps } from "./key-listing.ts";
import type { RegistrationDeps } from "./key-registration.ts";
import type { RenewalDeps } from "./key-renewal.ts";
import type { EndDeps, KeyRevocationDeps } from "./key-revocation.ts";
import type { KeyStore } from "./ports.ts";

/** Everything that the operations on keys need, as a running instance provides it. Each operation takes only its own part. */
export type Registry = { readonly store: KeyStore; readonly view: InstanceView } & RegistrationDeps &
  RenewalDeps &
  KeyRevocationDeps &
  EndDeps &
  FreezeDeps &
  ListDeps &
  ShowDeps &
  ChangeDeps &
  LegacyRegistrationDeps &
  MigrationDeps &
  ImportDeps &
  PhaseDeps &
  OverrideDeps;
