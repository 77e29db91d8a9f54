import type { Environment } from "./load.ts";
import { formatListen } from "./parsers.ts";
import type { SettingName, Settings } from "./settings.ts";
import { SETTING_GROUPS } from "./settings.ts";

/** Where the value of a setting comes from. `derived`: from other settings. `generated`: a secret that this store keeps. */
export const SETTING_SOURCES = ["environment", "file", "default", "derived", "generated", "unset"] as const;
export type SettingSource = (typeof SETTING_SOURCES)[number];

/** A setting that is in force. It never has a secret, nor anything that is made from one. */
export interface DescribedSetting {
  readonly name: string;
  readonly group: string;
  readonly meaning: string;
  readonly isSecret: boolean;
  readonly source: SettingSource;
  /** The text of the value. Absent for a secret, and for a setting without a value. */
  readonly value?: string;
  /** The file that holds a secret. */
  readonly file?: string;
  readonly default?: string;
}

/** The secrets that an instance generates if no setting names them. */
const GENERATED: readonly SettingName[] = ["JWT_SECRET", "KEY_HASH_SECRET", "AUDIT_KEY", "ADMIN_TOKEN"];

/** The settings of an instance that started with this environment, in the order of docs/reference/settings.md. */
export function describeSettings(environment: Environment, settings: Settings): readonly DescribedSetting[] {
  return Object.entries(SETTING_GROUPS).flatMap(([group, ofGroup]) =>
    Object.entries(ofGroup).map(([name, setting]) => ({
      name,
      group,
      meaning: setting.meaning,
      isSecret: "secret" in setting,
      ...("default" in setting && { default: setting.default }),
      ...("secret" in setting
        ? describeSecret(name, environment, settings)
        : describeValue(name, setting.default, environment, settings)),
    })),
  );
}

type Described = Pick<DescribedSetting, "source" | "value" | "file">;

function describeSecret(name: string, environment: Environment, settings: Settings): Described {
  // `off` stands for no token, so it is no secret.
  if (name === "ADMIN_TOKEN" && settings.ADMIN_TOKEN === "off")
    return { source: "environment", value: "off" };
  const file = environment[`${name}_FILE`] || undefined;
  if (file !== undefined) return { source: "file", file };
  if (environment[name]) return { source: "environment" };
  return { source: isGenerated(name, settings) ? "generated" : "unset" };
}

function isGenerated(name: string, settings: Settings): boolean {
  if (name === "JWT_SECRET" && settings.JWT_KEYS_FILE !== undefined) return false;
  return GENERATED.some((generated) => generated === name);
}

function describeValue(
  name: string,
  byDefault: string | undefined,
  environment: Environment,
  { STORE, OPERATOR_LISTEN }: Settings,
): Described {
  const given = environment[name] || undefined;
  if (given !== undefined) return { source: "environment", value: given };
  if (byDefault !== undefined) return { source: "default", value: byDefault };
  if (name === "STORE" && STORE !== undefined) return { source: "derived", value: STORE };
  if (name === "OPERATOR_LISTEN" && OPERATOR_LISTEN !== undefined)
    return { source: "derived", value: formatListen(OPERATOR_LISTEN) };
  return { source: "unset" };
}
