/**
 * The store did not respond or cannot execute a command now. It may recover by itself, unless `rejectedSetting` names the
 * setting that has to change.
 */
export class StoreUnavailable extends Error {
  /** A sentence that names the setting to change. */
  readonly rejectedSetting: string | undefined;

  constructor(message: string, { rejectedSetting, cause }: { rejectedSetting?: string; cause: unknown }) {
    super(message, { cause });
    this.rejectedSetting = rejectedSetting;
  }
}
