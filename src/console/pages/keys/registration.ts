import type { Registration } from "../../../client/types.ts";

/** What the form says, as texts. */
export interface RegistrationForm {
  readonly name: string;
  readonly role: string;
  readonly owner: string;
  readonly plan: string;
  /** Seconds, or empty for the role's lifetime. */
  readonly ttl: string;
  /** Undefined: all of the role. */
  readonly scopes: readonly string[] | undefined;
  /** Networks, separated by spaces, commas or line breaks. */
  readonly addresses: string;
}

export const EMPTY_FORM: RegistrationForm = {
  name: "",
  role: "",
  owner: "",
  plan: "",
  ttl: "",
  scopes: undefined,
  addresses: "",
};

export function registrationOf(form: RegistrationForm): Registration {
  const { name, role, owner, plan, ttl, scopes, addresses } = form;
  const networks = addresses.split(/[\s,]+/).filter((network) => network !== "");
  return {
    name: name.trim(),
    key_type: role,
    ...(owner.trim() !== "" && { owner: owner.trim() }),
    ...(plan !== "" && { plan }),
    ...(ttl !== "" && { ttl: Number(ttl) }),
    ...(scopes !== undefined && { scopes }),
    ...(networks.length > 0 && { addresses: networks }),
  };
}
