/** The registry is frozen while it is copied into another store. Nothing was written. */
export class RegistryFrozen extends Error {
  override readonly name = "RegistryFrozen";
  /** Whole seconds until the freeze ends by itself. */
  readonly retryAfterSeconds: number;

  constructor(retryAfterSeconds: number) {
    super("the registry is frozen while it is copied into another store");
    this.retryAfterSeconds = retryAfterSeconds;
  }
}
